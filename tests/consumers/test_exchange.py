"""Lanes that teach each other what they learn of items: the sum of all, replaced and never added, the same after a restart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from consumers.contributions import Block, Ids, position_record
from consumers.exchange import Exchange
from consumers.exchange_journal import ExchangeJournal, Taken
from consumers.lane import Lane
from consumers.lane_config import LaneConfig
from consumers.learner import Learner, LearnerConfig
from consumers.predictions import PredictionBlock, decode_prediction
from consumers.repartition import read_lanes, repartition
from eventlog.errors import CheckpointError, SettingsError
from eventlog.log import Record
from eventlog.partitioner import partition_of
from eventlog.sqlite_log import SqliteLog
from online_models.hebbian import Hebbian, HebbianConfig
from online_models.model import Model
from tests.consumers.ratings_log import LIMITS, TOPICS, create_topics, is_bad, records, replay, rows

pytestmark = pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")

PARTITIONS = 4
ROWS = rows(seed=47, events=1_200)
GOOD = [row for row in ROWS if not is_bad(row)]
MODELS = ("popularity", "decayed_popularity", "hebbian")


def lane_config(direct_neurons: int, *, share: bool = True, max_items: int = 10_000) -> LaneConfig:
    hebbian = HebbianConfig(direct_neurons=direct_neurons, row_synapses=128, half_life_s=1.0)
    return LaneConfig(
        MODELS,
        {"hebbian": hebbian},
        "event_time",
        scale=(0.0, 5.0),
        drift="none",
        share=share,
        max_items=max_items,
    )


def start(log: SqliteLog, folder: Path, lane: LaneConfig, every: int = 64, stop: bool = True) -> Learner:
    config = LearnerConfig(
        lane=lane,
        merge=False,
        batch_size=50,
        checkpoint_every_events=300,
        checkpoint_every_s=1e9,
        share_every_events=every,
        share_every_s=1e9,
        stop_at_end=stop,
        limits=LIMITS,
    )
    return Learner(log, TOPICS, config, folder)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    with SqliteLog(tmp_path / "log.db") as made:
        create_topics(made, PARTITIONS)
        replay(made, PARTITIONS, 16, ROWS)
        yield made


def exchange_all(learner: Learner, log: SqliteLog) -> None:
    """Let each lane tell the others all that it knows, then listen."""
    learner._flush()
    with log.writer() as writer:
        for _ in range(2):
            for stream in learner.streams:
                assert isinstance(stream.exchange, Exchange)
                stream.exchange._pace = stream.exchange._pace._replace(least_change=0.0)
                stream.exchange._publish(writer)
                writer.flush()
            for stream in learner.streams:
                assert isinstance(stream.exchange, Exchange)
                stream.exchange._take()


def of_items(lane: Lane, values: NDArray[np.generic]) -> dict[str, float]:
    return {lane.rows.items.id_of(row): value for row, value in enumerate(values.tolist()) if value}


def synapses(lane: Lane, model: Model, now: int) -> dict[tuple[str, str], float]:
    view = model.synapse_view(now)
    assert view is not None
    name = lane.rows.items.id_of
    pairs = zip(view.pre.tolist(), view.post.tolist(), view.weight.tolist(), strict=True)
    return {(name(pre), name(post)): weight for pre, post, weight in pairs}


def alone(folder: Path, lane: LaneConfig, partitions: int) -> tuple[SqliteLog, Learner]:
    """A learner of the same events that shares nothing."""
    log = SqliteLog(folder / f"alone-{partitions}.db")
    create_topics(log, partitions)
    replay(log, partitions, 16, ROWS)
    learner = start(log, folder / f"alone-{partitions}", lane)
    learner.run()
    return log, learner


@pytest.mark.parametrize("direct_neurons", [4_096, 0], ids=["direct", "bounded"])
def test_each_lane_ranks_from_the_sum_of_what_all_have_learned(
    direct_neurons: int, log: SqliteLog, tmp_path: Path
) -> None:
    learner = start(log, tmp_path / "lanes", lane_config(direct_neurons))
    learner.run()
    exchange_all(learner, log)
    own_log, single = alone(tmp_path, lane_config(direct_neurons, share=False), 1)
    [reference] = single.streams
    now = reference.lane.now
    want = synapses(reference.lane, reference.lane.models["hebbian"], now)
    counts = Counter(item for _, item in {row[:2] for row in GOOD})
    for stream in learner.streams:
        lane = stream.lane
        assert of_items(lane, lane.models["popularity"].arrays()["count"]) == counts
        found = synapses(lane, lane.models["hebbian"], now)
        assert found.keys() == want.keys()
        # What others tell is in half precision, 11 bits.
        scale = max(want.values())
        assert all(found[pair] == pytest.approx(want[pair], rel=2e-3, abs=1e-6 * scale) for pair in want)
        assert lane.heard == {
            other.lane.number: other.lane.learned for other in learner.streams if other is not stream
        }
    learner.close()
    single.close()
    own_log.close()


def test_what_a_lane_contributes_is_the_state_of_one_that_shares_nothing(
    log: SqliteLog, tmp_path: Path
) -> None:
    learner = start(log, tmp_path / "lanes", lane_config(4_096))
    learner.run()
    own_log, apart = alone(tmp_path, lane_config(4_096, share=False), PARTITIONS)
    for sharing, reference in zip(learner.streams, apart.streams, strict=True):
        model, alike = sharing.lane.models["hebbian"], reference.lane.models["hebbian"]
        assert isinstance(model, Hebbian)
        assert model.shares is not None
        mine, theirs = model.shares.arrays(), alike.arrays()
        row = {reference.lane.rows.items.id_of(at): at for at in range(len(reference.lane.rows.items))}
        names = [sharing.lane.rows.items.id_of(at) for at in range(len(sharing.lane.rows.items))]
        here = [at for at, name in enumerate(names) if name in row]
        there = [row[names[at]] for at in here]
        assert sorted(there) == list(range(len(row)))
        np.testing.assert_array_equal(mine["activity"][here], theirs["activity"][there])
        np.testing.assert_array_equal(
            mine["own_weight"][np.ix_(here, here)], theirs["weight"][np.ix_(there, there)]
        )
        assert not np.delete(mine["activity"], here).any()
    learner.close()
    apart.close()
    own_log.close()


def test_what_is_told_twice_counts_once(log: SqliteLog, tmp_path: Path) -> None:
    learner = start(log, tmp_path / "lanes", lane_config(4_096))
    learner.run()
    exchange_all(learner, log)
    before = [{name: model.digest() for name, model in s.lane.models.items()} for s in learner.streams]
    for stream in learner.streams:
        assert isinstance(stream.exchange, Exchange)
        for source in stream.exchange._sources:
            stream.exchange._reader.seek(source, 0)
        stream.exchange._take()
    after = [{name: model.digest() for name, model in s.lane.models.items()} for s in learner.streams]
    assert after == before
    learner.close()


def digests(learner: Learner) -> list[dict[str, str]]:
    return [{name: m.digest() for name, m in s.lane.models.items()} for s in learner.streams]


def ranks_said(log: SqliteLog) -> list[dict[tuple[int, int], tuple[int, ...]]]:
    """{(lane, lane_seq): ranks of all models} of each block in the predictions topic."""
    found = []
    for record in records(log, TOPICS.predictions):
        said = decode_prediction(record.value or b"")
        if isinstance(said, PredictionBlock):
            ranks = np.stack([said.ranks[name] for name in MODELS], axis=1).tolist()
            found.append({(said.lane, said.first_seq + at): tuple(row) for at, row in enumerate(ranks)})
    return found


def test_what_was_said_before_a_crash_is_said_again(log: SqliteLog, tmp_path: Path) -> None:
    twice = 0
    for interrupted in (9, 14, 17):
        for topic in (TOPICS.predictions, TOPICS.contributions):
            log.delete_topic(topic)
        log.create_topic(TOPICS.predictions, PARTITIONS)
        folder = tmp_path / f"after-{interrupted}"
        one = start(log, folder, lane_config(40))
        for _ in range(interrupted):
            one.step(0.0)
        one._flush()
        assert any(stream.exchange is not None and stream.exchange.folds for stream in one.streams)
        del one  # as a killed process
        again = start(log, folder, lane_config(40))
        again.run()
        again.close()
        said: dict[tuple[int, int], tuple[int, ...]] = {}
        for block in ranks_said(log):
            twice += len(said.keys() & block.keys())
            assert all(said.get(event, ranks) == ranks for event, ranks in block.items())
            said |= block
        assert len(said) == len(GOOD)
    assert twice


def test_a_lane_that_goes_on_from_an_earlier_checkpoint_comes_to_the_same_state(
    log: SqliteLog, tmp_path: Path
) -> None:
    folder = tmp_path / "lanes"
    one = start(log, folder, lane_config(40))
    one.run()
    want = digests(one)
    one.close()
    for lane in range(PARTITIONS):
        newest = sorted((folder / f"lane-{lane}").glob("manifest-*.json"))
        assert len(newest) == 3
        for manifest in newest[1:]:
            manifest.unlink()
    again = start(log, folder, lane_config(40))
    assert digests(again) != want
    again.run()
    assert digests(again) == want
    again.close()


def test_an_item_that_only_others_have_met_is_no_longer_new(log: SqliteLog, tmp_path: Path) -> None:
    learner = start(log, tmp_path / "lanes", lane_config(4_096))
    learner.run()
    exchange_all(learner, log)
    everything = {row[1] for row in GOOD}
    for stream in learner.streams:
        number = stream.lane.number
        own = {item for user, item, *_ in GOOD if partition_of(user, PARTITIONS) == number}
        table = stream.lane.rows.items
        assert own < everything == {table.id_of(row) for row in range(len(table))}
        assert stream.lane.rows.history.items == len(everything)
    learner.close()


def test_evicted_items_are_renumbered_on_both_sides(log: SqliteLog, tmp_path: Path) -> None:
    lane = lane_config(4_096, max_items=64)
    learner = start(log, tmp_path / "lanes", lane)
    learner.run()
    exchange_all(learner, log)
    for stream in learner.streams:
        stream.lane._evict()
        assert len(stream.lane.rows.items) <= 64
    exchange_all(learner, log)
    for stream in learner.streams:
        model = stream.lane.models["hebbian"]
        own = model.shares
        assert own is not None
        whole, count = model.arrays()["activity"], len(stream.lane.rows.items)
        assert len(whole) == count
        assert (whole >= own.arrays()["activity"] * (1 - 1e-9)).all()
    learner.close()


def test_a_topic_that_grows_leaves_the_sum_as_it_is(log: SqliteLog, tmp_path: Path) -> None:
    learner = start(log, tmp_path / "lanes", lane_config(4_096), stop=False)
    while sum(stream.lane.learned for stream in learner.streams) < len(GOOD):
        learner.step(0.0)
    exchange_all(learner, log)
    learner.commit()
    learner.close()
    for topic in (TOPICS.ratings, TOPICS.predictions, TOPICS.contributions):
        log.grow_topic(topic, 2 * PARTITIONS)
    lanes = read_lanes(tmp_path / "lanes", merged=False)
    assert len(list(repartition(lanes, 2 * PARTITIONS, tmp_path / "more"))) == 2 * PARTITIONS
    again = start(log, tmp_path / "more", lane_config(4_096), stop=False)
    counts = Counter(item for _, item in {row[:2] for row in GOOD})
    for _ in range(2):
        for stream in again.streams:
            assert of_items(stream.lane, stream.lane.models["popularity"].arrays()["count"]) == counts
            assert stream.lane._clock_events == len(GOOD)
        exchange_all(again, log)
    assert sum(stream.lane.learned for stream in again.streams) == len(GOOD)
    again.close()


def test_contributions_that_cannot_be_read_are_left_out(log: SqliteLog, tmp_path: Path) -> None:
    learner = start(log, tmp_path / "lanes", lane_config(4_096))
    learner.run()
    exchange_all(learner, log)
    want = digests(learner)
    [first, *_] = learner.streams
    assert isinstance(first.exchange, Exchange)
    generation = first.exchange._sources[1].generation
    one, nothing = np.ones(1).tobytes(), b"\0" * 4
    bad = [
        b"no msgpack",
        Ids(generation=generation, first=0, width=0, ids=b""),
        Ids(generation=generation, first=-1, width=1, ids=b"x"),
        Block(generation=generation, model="hebbian", first=0, base=0, activity=b"123"),
        Block(generation=generation, model="unknown", first=0, base=0, activity=b""),
        Block(generation=generation, model="hebbian", first=-5, base=0, activity=one, counts=nothing, largest=nothing),
        Block(
            generation=generation, model="popularity", first=0, base=0, activity=np.array([np.nan]).tobytes(),
            counts=nothing, largest=nothing,
        ),
        Block(
            generation=generation, model="hebbian", first=0, base=0, activity=np.ones(1 << 12).tobytes(),
            counts=np.array([0] * ((1 << 12) - 1) + [1 << 12], np.int32).tobytes(), posts=b"\0" * 4 * (1 << 12),
            largest=b"\0" * 4 * (1 << 12), weights=b"\0" * 2 * (1 << 12),
        ),
    ]  # fmt: skip
    with log.writer() as writer:
        values = [one if isinstance(one, bytes) else msgspec.msgpack.encode(one) for one in bad]
        told = [Record(b"bad/%d" % at, value) for at, value in enumerate(values)]
        writer.append(TOPICS.contributions, 1, [*told, position_record(generation, 0, 0)])
    first.exchange._take()
    assert digests(learner) == want
    learner.close()


def test_a_damaged_journal_is_a_named_error(tmp_path: Path) -> None:
    journal = ExchangeJournal(tmp_path)
    journal.write(Taken(number=0, at=5, values={1: [b"x"]}, next_offsets={1: 3}))
    [path] = tmp_path.glob("taken-*.bin")
    assert journal.read(0) == Taken(number=0, at=5, values={1: [b"x"]}, next_offsets={1: 3})
    assert journal.read(1) is None
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(CheckpointError, match="taken-0000000000"):
        journal.read(0)


def test_models_that_cannot_share_are_named() -> None:
    with pytest.raises(
        SettingsError, match="model is blend, expected some of decayed_popularity, hebbian, popularity"
    ):
        Lane(0, (0,), 2, LaneConfig(("hebbian", "blend"), {}, share=True))
