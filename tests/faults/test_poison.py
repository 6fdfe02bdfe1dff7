"""A thousand malformed events of every kind in a real stream: each a dead letter with its reason, the rest learned."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest

from chaos.storm import Storm
from chaos.stream import SOURCE, create_topics, make_events, messages
from chaos.truth import read_topic
from chaos.victim import Job, Server
from consumers.checkpoint import CheckpointStore
from eventlog.controls import Control, ControlKind
from eventlog.deadletter import Reason
from eventlog.event_checks import Limits
from eventlog.events import EventBatch
from eventlog.log import MAX_RECORD_BYTES, Log, Record
from eventlog.open_log import open_log
from eventlog.partitioner import partitions_of
from eventlog.topics import Topics
from tests.faults.poison import MAX_MESSAGE_BYTES, AnyKind, Expected, kinds_for, poisoned

GOOD, BAD = 4000, 1000
Position = tuple[int, int, int | None]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


def framed(records: list[Record], events: EventBatch) -> list[Record]:
    """The source's start and end around its messages."""
    start = Control(control=ControlKind.START, source_id=SOURCE, total_events=len(events))
    end = Control(
        control=ControlKind.END,
        source_id=SOURCE,
        event_time_ms=int(events.event_time_ms[-1]),
        source_seq=int(events.source_seq[-1]),
    )
    return [start.to_record(), *records, end.to_record()]


def write_poisoned(
    log: Log, topics: Topics, events: EventBatch, partitions: int, bad: int, seed: int
) -> dict[Position, Expected]:
    """Write good events and `bad` malformed ones, all kinds in turn, at places drawn by `seed`."""
    rng = np.random.default_rng(seed)
    create_topics(log, topics, partitions)
    home = partitions_of(events.users, partitions)
    kinds = kinds_for(partitions)
    strewn: dict[int, dict[int, list[AnyKind]]] = {partition: {} for partition in range(partitions)}
    for number in range(bad):
        partition = int(rng.integers(partitions))
        place = int(rng.integers((home == partition).sum()))
        strewn[partition].setdefault(place, []).append(kinds[number % len(kinds)])
    expected: dict[Position, Expected] = {}
    with log.writer() as writer:
        for partition, mine in strewn.items():
            lies = poisoned(events.take(home == partition), partition, partitions, mine, rng)
            writer.append(topics.ratings, partition, framed(lies.records, events))
            # The start takes offset 0.
            expected |= {(partition, at + 1, index): letter for (at, index), letter in lies.letters.items()}
    return expected


class Learned(NamedTuple):
    """What a learner left: its last summary, the checkpoint's meta, and the dead letters."""

    summary: dict[str, Any]
    meta: dict[str, Any]
    letters: list[dict[str, Any]]

    @property
    def digests(self) -> dict[str, str]:
        return {name: model["digest"] for name, model in self.summary["models"].items()}


def learn(server: Server, job: Job, kills: int) -> Learned:
    """Learn the stream to its end, killed `kills` times on the way."""
    storm = Storm(server, np.random.default_rng(kills), 0.3, kills)
    storm.run({"learner": job})
    assert storm.kills >= kills
    topics = Topics.with_prefix(job.prefix)
    with open_log(job.log) as log:
        predictions = read_topic(log, topics.predictions)
        letters = read_topic(log, topics.dead_letters)
    values = [record.value or b"" for record in predictions]
    summaries = [json.loads(value) for value in values if value[:1] == b"{"]
    saved = CheckpointStore(Path(job.directory, "lane-0")).load()
    assert saved is not None
    first: dict[bytes | None, bytes | None] = {}
    for record in letters:
        # After a restart a letter may come again, and then is the same.
        assert first.setdefault(record.key, record.value) == record.value
    return Learned(
        summaries[-1], saved.meta, [msgspec.msgpack.decode(value or b"") for value in first.values()]
    )


def position_of(letter: dict[str, Any], expected: dict[Position, Expected]) -> Position:
    """Where it stood; a message of one event is told by its offset, whichever place the letter names."""
    partition, offset, index = letter["partition"], letter["offset"], letter["index"]
    alone = (partition, offset, None)
    return alone if alone in expected and index in (-1, 0) else (partition, offset, index)


@pytest.mark.parametrize("seed", [1])
@pytest.mark.parametrize(
    ("kind", "partitions", "kills"),
    [
        ("embedded", 1, 0),
        ("embedded", 1, 3),
        ("embedded", 4, 0),
        ("embedded", 4, 3),
        pytest.param("kafka", 1, 0, marks=pytest.mark.kafka),
        pytest.param("kafka", 4, 3, marks=pytest.mark.kafka),
    ],
)
def test_each_malformed_event_is_a_dead_letter_and_all_good_ones_are_learned(
    kind: str,
    partitions: int,
    kills: int,
    seed: int,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    server: Server,
) -> None:
    if kind == "kafka":
        spec = f"kafka:{request.getfixturevalue('kafka_bootstrap')}"
    else:
        spec = f"embedded:{tmp_path / 'log.db'}"
    events = make_events(seed, GOOD)
    prefix = f"poison-{uuid.uuid4().hex[:12]}"
    jobs: dict[str, Job] = {}
    expected: dict[Position, Expected] = {}
    with open_log(spec) as log:
        for name, bad in (("clean", 0), ("poisoned", BAD)):
            directory = tmp_path / name
            directory.mkdir()
            limits = Limits(max_message_bytes=MAX_MESSAGE_BYTES)
            jobs[name] = Job(
                role="learner", log=spec, prefix=f"{prefix}.{name}", directory=str(directory), limits=limits
            )
            topics = Topics.with_prefix(jobs[name].prefix)
            expected = write_poisoned(log, topics, events, partitions, bad, seed)
    assert len(expected) == BAD
    assert len({letter.reason for letter in expected.values()}) >= 18

    clean, learned = learn(server, jobs["clean"], 0), learn(server, jobs["poisoned"], kills)

    assert clean.letters == []
    ratings = Topics.with_prefix(jobs["poisoned"].prefix).ratings
    assert {letter["topic"] for letter in learned.letters} == {ratings}
    found = {position_of(letter, expected): letter for letter in learned.letters}
    assert found.keys() == expected.keys()
    assert len(found) == len(learned.letters) == BAD
    for position, want in expected.items():
        have = found[position]
        assert (have["reason"], have["events"], have["v"]) == (want.reason.value, want.events, 1), have[
            "detail"
        ]
        assert have["detail"]
        if position[2] is not None and position[2] >= 0:
            assert msgspec.msgpack.decode(have["payload"]) == msgspec.msgpack.decode(want.payload)
        else:
            assert have["payload"] == want.payload

    assert learned.digests == clean.digests
    assert learned.summary["last_seq"] == clean.summary["last_seq"] == {SOURCE: GOOD - 1}
    reasons = Counter[str]()
    for letter in expected.values():
        reasons[letter.reason.value] += letter.events
    assert learned.meta["lane"]["dead_lettered"] == dict(reasons)
    terms = learned.summary["accounting"]
    assert terms["learned"] == GOOD
    assert terms["dead_lettered"] == reasons.total() >= BAD
    assert terms["duplicate"] == terms["waiting"] == 0
    assert terms["accepted"] == GOOD + reasons.total()


@pytest.mark.parametrize("kind", ["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def test_the_largest_message_that_the_log_takes_does_not_stop_the_stream(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, server: Server
) -> None:
    if kind == "kafka":
        spec = f"kafka:{request.getfixturevalue('kafka_bootstrap')}"
    else:
        spec = f"embedded:{tmp_path / 'log.db'}"
    job = Job(role="learner", log=spec, prefix=f"poison-{uuid.uuid4().hex[:12]}", directory=str(tmp_path))
    topics = Topics.with_prefix(job.prefix)
    events = make_events(1, 20)
    large = Record(None, b"{" * MAX_RECORD_BYTES)
    with open_log(spec) as log:
        create_topics(log, topics, 1)
        with log.writer() as writer:
            sent = messages(events, 1)
            writer.append(topics.ratings, 0, framed([*sent[:10], large, *sent[10:]], events))

    learned = learn(server, job, 0)

    [letter] = learned.letters
    assert (letter["offset"], letter["reason"]) == (11, Reason.MESSAGE_TOO_LARGE.value)
    # Its whole is where it stood; a letter has room for most of it.
    assert large.value is not None
    assert large.value.startswith(letter["payload"])
    assert len(letter["payload"]) > MAX_RECORD_BYTES - (1 << 20)
    assert learned.summary["accounting"]["learned"] == 20
