"""The replay: what it writes, when, and that it goes on exactly where it was stopped, however that was."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from eventlog.codec import decode_event, encode_event, events_in
from eventlog.controls import PREFIX, ControlKind
from eventlog.errors import SettingsError, TopicMissingError
from eventlog.events import RatingEvent
from eventlog.log import Log, Record
from eventlog.metadata import decode_item, decode_user
from eventlog.partitioner import partition_of
from eventlog.sqlite_log import SqliteLog
from producers.datasets import DATASETS
from producers.replay import Pace, Progress, Replay, publish_metadata
from producers.stream import Cut, DatasetStream, EventStream
from producers.synthetic import SyntheticConfig, SyntheticStream
from tests.producers.dataset_files import write_dataset
from tests.producers.log_contents import (
    TOPICS,
    Event,
    all_events,
    controls,
    copy,
    create_topics,
    decoded,
    events,
    events_of,
    records,
)

# More than one block of the replay, and none of its sizes divides it.
SYNTHETIC = SyntheticStream(SyntheticConfig(events=18_001, users=60, items=90))


class Started:
    """A log of its own for each call; all are closed at the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.logs: list[SqliteLog] = []

    def __call__(self, partitions: int) -> SqliteLog:
        log = SqliteLog(self._folder / f"{len(self.logs)}.sqlite")
        self.logs.append(log)
        create_topics(log, partitions)
        return log


@pytest.fixture
def new_log(tmp_path: Path) -> Iterator[Started]:
    started = Started(tmp_path)
    yield started
    for log in started.logs:
        log.close()


def replay(log: Log, stream: EventStream, pack: int = 256) -> None:
    one = Replay(log, TOPICS, stream, Pace(pack))
    one.run()
    one.close()


def dataset(tmp_path: Path, lines: list[str], cut: Cut | None = None) -> DatasetStream:
    """An ml-100k of these lines: user, item, rating, seconds."""
    text = "".join("\t".join(line.split()) + "\n" for line in lines)
    folder = write_dataset(tmp_path, "ml-100k", u_data=text)
    return DatasetStream(DATASETS["ml-100k"], folder, cut or Cut())


def expected_events(stream: EventStream, partitions: int) -> list[list[Event]]:
    """The whole stream, numbered, each event in its user's partition."""
    columns = stream.block(0, stream.total_events)
    found: list[list[Event]] = [[] for _ in range(partitions)]
    rows = zip(*(column.tolist() for column in columns), strict=True)
    for seq, (user, item, rating, time_ms) in enumerate(rows):
        name = user.decode()
        event = Event(name, item.decode(), rating, time_ms, stream.source_id, seq)
        found[partition_of(name, partitions)].append(event)
    return found


def sizes(log: Log) -> list[int]:
    return [bounds.end for bounds in log.bounds(TOPICS.ratings).values()]


def test_events_are_in_the_log_in_order_and_numbered(new_log, tmp_path):
    log = new_log(1)
    replay(log, dataset(tmp_path, ["1 1 5 20", "2 2 3 10", "1 2 1 30"]))
    source = "ml-100k:min0:hash"
    assert events(log) == [
        Event("2", "2", 3.0, 10_000, source, 0),
        Event("1", "1", 5.0, 20_000, source, 1),
        Event("1", "2", 1.0, 30_000, source, 2),
    ]


@pytest.mark.parametrize("pack", [1, 16, 256, 4096])
@pytest.mark.parametrize("partitions", [1, 4])
def test_partitions_and_packs_do_not_change_what_is_said(new_log, partitions, pack):
    log = new_log(partitions)
    replay(log, SYNTHETIC, pack)
    assert all_events(log) == expected_events(SYNTHETIC, partitions)


def test_a_message_has_at_most_a_pack(new_log):
    log = new_log(2)
    replay(log, SYNTHETIC, 100)
    counts = []
    for partition in range(2):
        found = records(log, TOPICS.ratings, partition)
        for value, headers in zip(found.values, found.headers, strict=True):
            if not (value or b"").startswith(PREFIX):
                counts.append(events_in(headers))
    assert sum(counts) == SYNTHETIC.total_events
    assert max(counts) == 100


def test_a_pack_of_one_is_the_event_of_any_live_producer(new_log, tmp_path):
    log = new_log(1)
    replay(log, dataset(tmp_path, ["1 2 5 20"]), pack=1)
    event = RatingEvent(
        user="1",
        item="2",
        rating=5.0,
        event_time_ms=20_000,
        source_id="ml-100k:min0:hash",
        source_seq=0,
    )
    found = records(log, TOPICS.ratings, 0)
    [at] = [i for i, value in enumerate(found.values) if not (value or b"").startswith(PREFIX)]
    assert found.keys[at] == encode_event(event).key
    assert decode_event(found.values[at] or b"") == event


@pytest.mark.parametrize("partitions", [1, 4])
def test_every_partition_has_a_start_and_an_end(new_log, partitions):
    log = new_log(partitions)
    replay(log, SYNTHETIC)
    last = SYNTHETIC.block(SYNTHETIC.total_events - 1, 1)
    for partition in range(partitions):
        first, *_, end = controls(log, partition, SYNTHETIC.source_id)
        assert (first.control, first.event_time_ms, first.source_seq) == (ControlKind.START, 0, -1)
        assert (first.total_events, first.rating_min, first.rating_max) == (18_001, 1.0, 5.0)
        assert (end.control, end.source_seq) == (ControlKind.END, 18_000)
        assert end.event_time_ms == last.event_time_ms[0]
        values = records(log, TOPICS.ratings, partition).values
        assert (values[0] or b"").startswith(PREFIX)
        assert (values[-1] or b"").startswith(PREFIX)


def test_a_watermark_is_kept_on_every_partition(new_log):
    """After it no event of the partition is smaller or equal; one user leaves three partitions without events."""
    log = new_log(4)
    stream = SyntheticStream(SyntheticConfig(events=20_000, users=1, items=90))
    replay(log, stream, 64)
    for partition in range(4):
        found = records(log, TOPICS.ratings, partition)
        marks = [
            control
            for control in controls(log, partition, stream.source_id)
            if control.control is ControlKind.WATERMARK
        ]
        assert marks
        assert [mark.source_seq for mark in marks] == sorted({mark.source_seq for mark in marks})
        said = (-1, -1)
        for value in found.values:
            if (value or b"").startswith(PREFIX):
                control = msgspec.json.decode(value)
                said = max(said, (control["event_time_ms"], control["source_seq"]))
            else:
                pack = msgspec.msgpack.decode(value)
                time_ms = int.from_bytes(pack["times"][:8], "little")
                seq = int.from_bytes(pack["seqs"][:8], "little")
                assert (time_ms, seq) > said


def test_partitions_progress_together(new_log):
    """What one partition has, another one has within a block: a merging reader needs no more memory."""
    log = new_log(2)
    one = Replay(log, TOPICS, SYNTHETIC, Pace(16, rate=math.nextafter(math.inf, 0)))
    while not one.done:
        written = one.step().written
        for partition in range(2):
            said = max(control.source_seq for control in controls(log, partition, SYNTHETIC.source_id))
            assert said == written - 1
    one.close()


def test_a_stream_without_events_is_opened_and_closed(new_log, tmp_path):
    log = new_log(2)
    stream = dataset(tmp_path, ["1 1 3 10"], Cut(min_rating=5))
    replay(log, stream)
    for partition in range(2):
        kinds = [control.control for control in controls(log, partition, stream.source_id)]
        assert kinds == [ControlKind.START, ControlKind.END]
    replay(log, stream)
    assert sizes(log) == [2, 2]


def test_the_topic_must_exist(tmp_path):
    with SqliteLog(tmp_path / "log.sqlite") as log, pytest.raises(TopicMissingError):
        Replay(log, TOPICS, SYNTHETIC, Pace())


@pytest.mark.parametrize("pack", [1, 64])
@pytest.mark.parametrize("partitions", [1, 3])
@pytest.mark.parametrize("seed", range(6))
def test_whatever_part_of_it_is_in_the_log_the_rest_follows(new_log, partitions, pack, seed):
    """A killed replay leaves some first part of what it wrote on each partition: any parts, so any moment."""
    whole = new_log(partitions)
    replay(whole, SYNTHETIC, pack)
    rng = random.Random(seed)
    part = new_log(partitions)
    for partition, size in enumerate(sizes(whole)):
        kept = rng.choice([0, 1, 2, size - 1, size, rng.randrange(size)])
        copy(whole, part, TOPICS.ratings, partition, kept)
    replay(part, SYNTHETIC, 256)
    assert all_events(part) == expected_events(SYNTHETIC, partitions)
    for partition in range(partitions):
        kinds = [control.control for control in controls(part, partition, SYNTHETIC.source_id)]
        assert kinds.count(ControlKind.START) == kinds.count(ControlKind.END) == 1


def test_stopped_after_every_step(new_log):
    """Each life makes one step, and flushes it."""
    log = new_log(3)
    lives = 0
    while True:
        one = Replay(log, TOPICS, SYNTHETIC, Pace(16))
        if one.done:
            break
        one.step()
        one.close()
        lives += 1
    one.close()
    assert lives == 3  # blocks of 8,192
    assert all_events(log) == expected_events(SYNTHETIC, 3)


def test_a_finished_replay_writes_nothing(new_log):
    log = new_log(2)
    replay(log, SYNTHETIC)
    before = sizes(log)
    one = Replay(log, TOPICS, SYNTHETIC, Pace())
    assert one.done
    assert one.step() == one.progress == Progress(18_001, 18_001)
    one.close()
    assert sizes(log) == before


def others(log: Log, count: int) -> None:
    """Append events of another source."""
    event = RatingEvent(user="x", item="y", event_time_ms=1, rating=1.0, source_id="other", source_seq=0)
    with log.writer() as writer:
        writer.append(TOPICS.ratings, 0, [encode_event(event)] * count)


@pytest.mark.parametrize("count", [1, 63, 64, 65, 1_000])
def test_other_sources_at_the_tail_do_not_hide_where_it_was_stopped(new_log, count):
    whole = new_log(1)
    replay(whole, SYNTHETIC, 64)
    log = new_log(1)
    copy(whole, log, TOPICS.ratings, 0, 100)
    others(log, count)
    with log.writer() as writer:  # and bytes that are nothing
        writer.append(TOPICS.ratings, 0, [Record(None, b"\xff"), Record(b"k", None), Record(None, PREFIX)])
    replay(log, SYNTHETIC, 64)
    mine = [event for event in events_of(decoded(log)) if event.source == SYNTHETIC.source_id]
    assert mine == expected_events(SYNTHETIC, 1)[0]


@pytest.mark.parametrize("count", [0, 1, 62, 63, 64, 65])
def test_a_larger_limit_goes_on_even_when_it_was_stopped_at_once(new_log, tmp_path, count):
    """The log may then end with a START, and with records of others, before which the events lie."""
    lines = [f"{1 + n % 7} {1 + n % 5} {1 + n % 5} {n}" for n in range(300)]
    short = dataset(tmp_path / "short", lines, Cut(limit=100))
    long = dataset(tmp_path / "long", lines)
    log = new_log(1)
    replay(log, short, 16)
    whole = new_log(1)
    replay(whole, long, 16)
    with log.writer() as writer:
        start = records(whole, TOPICS.ratings, 0).values[0]
        writer.append(TOPICS.ratings, 0, [Record(None, start)])
    others(log, count)
    replay(log, long, 16)
    mine = [event for event in events(log) if event.source == long.source_id]
    assert mine == expected_events(long, 1)[0]


def test_a_limit_below_what_the_log_holds_is_refused(new_log, tmp_path):
    lines = [f"{1 + n % 7} {1 + n % 5} {1 + n % 5} {n}" for n in range(30)]
    log = new_log(1)
    replay(log, dataset(tmp_path / "long", lines))
    with pytest.raises(
        SettingsError, match=r"limit leaves 10 events .* up to number 29: expected a limit of 30"
    ):
        replay(log, dataset(tmp_path / "short", lines, Cut(limit=10)))


def test_metadata(new_log, tmp_path):
    log = new_log(1)
    log.create_topic(TOPICS.items, 1, compacted=True)
    log.create_topic(TOPICS.users, 1, compacted=True)
    stream = dataset(tmp_path, ["1 1 5 10"])
    for _ in range(2):  # again, as a replay that goes on does: the last of a key counts
        assert publish_metadata(log, TOPICS, stream) == (2, 2)
    items = records(log, TOPICS.items, 0)
    users = records(log, TOPICS.users, 0)
    titles = {
        key: decode_item(value or b"").title for key, value in zip(items.keys, items.values, strict=True)
    }
    ages = {
        key: decode_user(value or b"").age_min for key, value in zip(users.keys, users.values, strict=True)
    }
    assert titles == {b"1": "Étoile (1995)", b"2": "[Rec] Part II, The (1992) (2007)"}
    assert ages == {b"1": 24, b"2": 53}
