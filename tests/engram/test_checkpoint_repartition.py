"""`engram checkpoint repartition`: a topic gets more partitions, and nothing is lost, learned twice, or answered otherwise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from typer.testing import CliRunner

from consumers.checkpoint import CheckpointStore
from consumers.evaluator import Evaluator
from consumers.lane import Lane
from consumers.lane_config import LaneConfig
from consumers.learner import Learner, LearnerConfig
from consumers.predictions import PredictionBlock, decode_prediction
from engram.cli import app
from eventlog.codec import encode_event
from eventlog.controls import Control, ControlKind
from eventlog.deadletter import Reason
from eventlog.errors import (
    CheckpointBehindError,
    CheckpointMismatchError,
    OwnedError,
    SettingsError,
)
from eventlog.events import RatingEvent
from eventlog.partitioner import partition_of
from eventlog.redrive import read_dead_letters
from eventlog.sqlite_log import SqliteLog
from online_models.hebbian import HebbianConfig
from online_models.interactions import Moment
from online_models.registry import MODELS
from tests.consumers.ratings_log import LIMITS, TOPICS, create_topics, finish, rows, summaries
from tests.record_batches import columns, pack

# What one says to a user depends on that user and on the items alone.
ALONE = tuple(name for name in MODELS if name not in {"user_hebbian", "random"})
LANE = LaneConfig(
    models=(*ALONE, "user_hebbian"),
    configs={"hebbian": HebbianConfig(direct_neurons=60, row_synapses=8, half_life_events=200)},
    scale=(0.0, 5.0),
    top_every=16,
)
EVENTS = rows(seed=43, events=1_200)
BEFORE, AFTER = EVENTS[:800], EVENTS[800:]
Row = tuple[str, str, int, int]


class Deployment(NamedTuple):
    """A log of its own, and a folder for checkpoints."""

    log: SqliteLog
    folder: Path

    def learner(self, name: str, *, merge: bool = False) -> Learner:
        config = LearnerConfig(
            lane=LANE, merge=merge, batch_size=64, checkpoint_every_s=1e9, stop_at_end=merge, limits=LIMITS
        )
        return Learner(self.log, TOPICS, config, self.folder / name)

    def learn(self, name: str) -> None:
        """Learn all there is, and stop."""
        one = self.learner(name)
        while one.step(0.0):
            pass
        one.close()

    def send(self, events: Sequence[Row], partitions: int, size: int = 7) -> int:
        """Append events as an application would, keyed by user; returns how many."""
        with self.log.writer() as writer:
            for partition in range(partitions):
                mine = [row for row in events if partition_of(row[0], partitions) == partition]
                for at in range(0, len(mine), size):
                    writer.append(TOPICS.ratings, partition, [pack(mine[at : at + size], "app")])
        return len(events)

    def repartition(self, *arguments: str, of: str = "old", out: str = "new") -> str:
        """What the command says; its errors are raised."""
        flags = ["--log-path", str(self.folder / "log.db"), "--topic-prefix", "test"]
        command = ["checkpoint", "repartition", str(self.folder / of), "--out", str(self.folder / out)]
        run = CliRunner().invoke(app, [*command, *flags, *arguments])
        if run.exception is not None and not isinstance(run.exception, SystemExit):
            raise run.exception
        assert run.exit_code == 0, run.output
        return run.output

    def lane(self, name: str, number: int, partitions: int) -> Lane:
        """The lane of a partition, as its newest checkpoint has it."""
        checkpoint = CheckpointStore(self.folder / name / f"lane-{number}").load()
        assert checkpoint is not None
        lane = Lane(number, (number,), partitions, LANE)
        lane.restore(checkpoint.arrays, checkpoint.meta["lane"])
        return lane

    def accounting(self, name: str, number: int, partitions: int) -> dict[str, int]:
        checkpoint = CheckpointStore(self.folder / name / f"lane-{number}").load()
        assert checkpoint is not None
        return self.lane(name, number, partitions).accounting(checkpoint.meta["intake"]["accepted"], 0)


@pytest.fixture
def two(tmp_path: Path) -> Deployment:
    """A live learner that has learned the first part from two partitions."""
    log = SqliteLog(tmp_path / "log.db")
    create_topics(log, 2)
    made = Deployment(log, tmp_path)
    made.send(BEFORE, 2)
    made.learn("old")
    return made


def histories(lane: Lane) -> dict[str, list[tuple[str, int]]]:
    """(item, time) of each user, in order."""
    view = lane.rows.histories
    found = {}
    for row in range(len(lane.rows.users)):
        places = range(view.start[row], view.start[row] + view.length[row])
        found[lane.rows.users.id_of(row)] = [
            (lane.rows.items.id_of(view.items[place]), int(view.times_ms[place])) for place in places
        ]
    return found


def answers(lane: Lane, user: str) -> dict[str, list[float]]:
    """Every score, and the list, of each model that looks at nobody else."""
    row = lane.rows.users.find(user)
    moment = Moment(lane.clock["events"], 10**6, lane.rows.history.items)  # type: ignore[arg-type]
    said = {}
    for name in ALONE:
        model = lane.models[name]
        said[name] = model.scores(row, lane.rows.histories, moment).tolist()
        if model.ranks:
            said[f"{name} list"] = model.recommend(row, 20, lane.rows.histories, moment).items.tolist()
    return said


def expected_histories(events: Sequence[Row]) -> dict[str, list[tuple[str, int]]]:
    had: dict[str, list[tuple[str, int]]] = {}
    for user, item, time_ms, _ in events:
        mine = had.setdefault(user, [])
        if item not in {one for one, _ in mine}:
            mine.append((item, time_ms))
    return had


def test_every_user_is_in_one_lane_with_the_same_history_and_the_same_answers(two: Deployment) -> None:
    before = {path: path.read_bytes() for path in (two.folder / "old").rglob("*") if path.is_file()}
    said = two.repartition("--partitions", "4")
    assert "engram learn --merge false --partitions 4 --checkpoint-dir" in said
    assert two.log.partition_count(TOPICS.ratings) == two.log.partition_count(TOPICS.predictions) == 4
    assert {path: path.read_bytes() for path in before} == before
    wanted = expected_histories(BEFORE)
    found = {}
    for number in range(4):
        lane, parent = two.lane("new", number, 4), two.lane("old", number % 2, 2)
        mine = histories(lane)
        assert {partition_of(user, 4) for user in mine} == {number}
        assert not mine.keys() & found.keys()
        found |= mine
        assert lane.rows.items.ids().tolist() == parent.rows.items.ids().tolist()
        for user in mine:
            assert answers(lane, user) == answers(parent, user), user
        row = lane.rows.users.find(next(iter(mine)))
        moment = Moment(0, 0, lane.rows.history.items)
        assert np.isfinite(lane.models["user_hebbian"].scores(row, lane.rows.histories, moment)).all()
    assert found == wanted


def test_all_later_events_are_learned_once_and_as_the_old_lane_would_have(two: Deployment) -> None:
    with Evaluator(two.log, TOPICS.predictions, lanes=(), store=CheckpointStore(two.folder / "e")) as first:
        while first.step(0.0):
            pass
        first.checkpoint()
    learned = {number: two.lane("old", number, 2).learned for number in range(2)}
    two.repartition("--partitions", "4")
    ends = {partition: bounds.end for partition, bounds in two.log.bounds(TOPICS.predictions).items()}
    # A producer that is not sure sends what it had sent last once more, to where it belongs now.
    again = two.send(BEFORE[-50:], 4)
    two.send(AFTER, 4)
    two.learn("new")

    totals: Counter[str] = Counter()
    for number in range(4):
        lane, counts = two.lane("new", number, 4), two.accounting("new", number, 4)
        assert counts["accepted"] == counts["learned"] + counts["dead_lettered"] + counts["duplicate"]
        totals += Counter(counts)
        later = [row for row in AFTER if partition_of(row[0], 4) == number]
        first_seq, inherited = (learned[number], 0) if number < 2 else (0, learned[number % 2])
        assert (lane.learned, lane.inherited) == (first_seq + len(later), inherited)
        assert lane.clock["events"] == learned[number % 2] + len(later)
        # Who knows the whole of the old lane says the same of these events.
        oracle = two.lane("old", number % 2, 2)
        block = oracle.test_then_learn(
            columns(later, "app", partition=np.full(len(later), number % 2, np.int32))
        )
        assert block is not None
        said = published(two.log, number, ends[number])
        assert said[0].first_seq == first_seq
        for model in set(ALONE) & block.ranks.keys() - {
            "isgd",
            "isgd_negatives",
        }:  # draws vectors of new users by their row
            ranks = np.concatenate([one.ranks[model] for one in said])
            assert ranks.tolist() == block.ranks[model].tolist(), model
        for model in block.predicted:
            predicted = np.concatenate([one.predicted[model] for one in said])
            np.testing.assert_array_equal(predicted, block.predicted[model], model)
    assert totals["accepted"] == len(EVENTS) + again
    assert totals["learned"] == len(EVENTS)
    assert totals["duplicate"] == again
    found = {}
    for number in range(4):
        found |= histories(two.lane("new", number, 4))
    assert found == expected_histories(EVENTS)

    # The evaluator that had read two partitions goes on, and agrees with one that begins anew.
    figures = []
    for store in (CheckpointStore(two.folder / "e"), None):
        with Evaluator(two.log, TOPICS.predictions, lanes=(), store=store) as evaluator:
            while evaluator.step(0.0):
                pass
            assert evaluator.events == len(EVENTS)
            figures.append(evaluator.figures())
    assert figures[0] == figures[1]


def published(log: SqliteLog, partition: int, begin: int) -> list[PredictionBlock]:
    """Blocks of a lane from an offset on."""
    with log.reader(TOPICS.predictions, [partition]) as reader:
        reader.seek(partition, begin)
        values = [value for batch in reader.poll(10_000, 0.0) for value in batch.values]
    blocks = [decode_prediction(value or b"") for value in values]
    return [block for block in blocks if isinstance(block, PredictionBlock)]


def test_a_key_that_was_taken_is_known_in_both_lanes(two: Deployment) -> None:
    def send(partitions: int) -> None:
        with two.log.writer() as writer:
            for at, (user, item, time_ms, _) in enumerate(AFTER[:40]):
                event = RatingEvent(user=user, item=item, event_time_ms=time_ms, rating=4.0, key=f"key-{at}")
                writer.append(TOPICS.ratings, partition_of(user, partitions), [encode_event(event)])

    send(2)
    two.learn("old")
    two.repartition("--partitions", "4")
    send(4)
    two.learn("new")
    counts = [two.accounting("new", number, 4) for number in range(4)]
    assert sum(one["learned"] for one in counts) == len(BEFORE) + 40
    assert sum(one["duplicate"] for one in counts) == 40


def test_what_would_be_left_behind_is_refused_and_can_be_redriven(two: Deployment) -> None:
    two.send(AFTER[:60], 2, size=1)
    moved = [row for row in AFTER[:60] if partition_of(row[0], 4) >= 2]
    assert moved
    with pytest.raises(CheckpointBehindError, match=rf"^{len(moved)} events .*let the learner reach the end"):
        two.repartition("--partitions", "4")
    assert two.log.partition_count(TOPICS.ratings) == 2
    two.repartition("--partitions", "4", "--force")
    two.learn("new")
    letters = list(read_dead_letters(two.log, TOPICS.dead_letters))
    assert [one.letter.reason for one in letters] == [Reason.WRONG_PARTITION] * len(moved)
    flags = ["--log-path", str(two.folder / "log.db"), "--topic-prefix", "test", "--rating-max", "5"]
    run = CliRunner().invoke(app, ["dlq", "redrive", "--reason", "wrong_partition", *flags])
    assert f"{len(moved)} redriven" in run.output
    two.learn("new")
    found = {}
    for number in range(4):
        counts = two.accounting("new", number, 4)
        assert counts["accepted"] == counts["learned"] + counts["dead_lettered"] + counts["duplicate"]
        found |= histories(two.lane("new", number, 4))
    assert {user: set(had) for user, had in found.items()} == {
        user: set(had) for user, had in expected_histories([*BEFORE, *AFTER[:60]]).items()
    }


def test_a_topic_that_had_grown_already_is_taken_as_it_is(two: Deployment) -> None:
    """What stands in its new partitions is learned; of users who would move on, it is left behind."""
    two.log.grow_topic(TOPICS.ratings, 4)
    two.send(AFTER, 4, size=1)
    moved = [row for row in AFTER if partition_of(row[0], 8) >= 4]
    with pytest.raises(CheckpointBehindError, match=rf"^{len(moved)} events .*: go on with --force"):
        two.repartition("--partitions", "8")
    two.repartition()
    two.learn("new")
    found = {}
    for number in range(4):
        found |= histories(two.lane("new", number, 4))
    assert found == expected_histories(EVENTS)


def test_another_log_is_refused(two: Deployment) -> None:
    two.log.delete_topic(TOPICS.ratings)
    two.log.create_topic(TOPICS.ratings, 2)
    with pytest.raises(
        CheckpointMismatchError, match=r"which ends at 0: expected the log that it was learned from"
    ):
        two.repartition("--partitions", "4")


def test_what_cannot_be_repartitioned_is_said(two: Deployment) -> None:
    with pytest.raises(
        CheckpointMismatchError, match=r"2 partitions, and it is to have 3, expected a multiple"
    ):
        two.repartition("--partitions", "3")
    with pytest.raises(CheckpointMismatchError, match=r"there is nothing to do"):
        two.repartition()
    with pytest.raises(SettingsError, match=r"there is no lane-0 in it"):
        two.repartition("--partitions", "4", of="elsewhere")
    (two.folder / "new").mkdir()
    (two.folder / "new" / "file").touch()
    with pytest.raises(SettingsError, match=r"expected a new folder"):
        two.repartition("--partitions", "4")
    running = two.learner("old")
    with pytest.raises(OwnedError, match=r"stop it first"):
        two.repartition("--partitions", "4", out="other")
    running.close()
    two.log.grow_topic(TOPICS.ratings, 5)
    with pytest.raises(CheckpointMismatchError, match=r"expected a multiple of 2.*another --topic-prefix"):
        two.repartition(out="other")
    with pytest.raises(CheckpointMismatchError, match=r"it is to have 5, expected a multiple of 2"):
        two.repartition("--partitions", "10", out="other")
    two.log.grow_topic(TOPICS.ratings, 6)
    with pytest.raises(SettingsError, match=r"partitions is 4, expected at least 6"):
        two.repartition("--partitions", "4", out="other")
    with pytest.raises(CheckpointMismatchError, match=r"engram checkpoint repartition"):
        two.learner("old")
    assert not (two.folder / "other").exists()


def test_one_partition_of_a_live_learner_becomes_three_lanes(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "log.db") as log:
        create_topics(log, 1)
        one = Deployment(log, tmp_path)
        one.send(BEFORE, 1)
        one.learn("old")
        one.repartition("--partitions", "3", "--merge", "false")
        one.send(AFTER, 3)
        one.learn("new")
        found = {}
        for number in range(3):
            found |= histories(one.lane("new", number, 3))
    assert found == expected_histories(EVENTS)


def test_a_replay_goes_on_to_the_result_of_an_uninterrupted_one(tmp_path: Path) -> None:
    """The lane of a replay stays whole: two partitions, then four, and the digests of a replay over one."""

    def everywhere(log: SqliteLog, partitions: Sequence[int], control: Control) -> None:
        with log.writer() as writer:
            for partition in partitions:
                writer.append(TOPICS.ratings, partition, [control.to_record()])

    def mark(kind: ControlKind, row: Row) -> Control:
        return Control(control=kind, source_id="app", event_time_ms=row[2], source_seq=row[3])

    start = Control(control=ControlKind.START, source_id="app", total_events=len(EVENTS))
    with SqliteLog(tmp_path / "log.db") as log:
        create_topics(log, 2)
        run = Deployment(log, tmp_path)
        everywhere(log, range(2), start)
        run.send(BEFORE, 2)
        everywhere(log, range(2), mark(ControlKind.WATERMARK, BEFORE[-1]))
        one, taken = run.learner("old", merge=True), 0
        while taken < len(BEFORE):
            taken += one.step(0.0)
        one.close()
        said = run.repartition("--partitions", "4")
        assert "lane 0: 4 partitions" in said
        everywhere(log, range(2, 4), start)
        run.send(AFTER, 4)
        everywhere(log, range(4), mark(ControlKind.END, EVENTS[-1]))
        finish(run.learner("new", merge=True))
        [grown] = summaries(log)
    with SqliteLog(tmp_path / "one" / "log.db") as log:
        create_topics(log, 1)
        run = Deployment(log, tmp_path / "one")
        everywhere(log, [0], start)
        run.send(EVENTS, 1)
        everywhere(log, [0], mark(ControlKind.END, EVENTS[-1]))
        finish(run.learner("whole", merge=True))
        [whole] = summaries(log)
    assert {name: model.digest for name, model in grown.models.items()} == {
        name: model.digest for name, model in whole.models.items()
    }
    assert (grown.events, grown.accounting, grown.last_seq) == (
        whole.events,
        whole.accounting,
        whole.last_seq,
    )
