"""`engram dlq`: what a user sees of dead letters, and events redriven once, learned once, and counted."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from consumers.checkpoint import CheckpointStore
from consumers.lane_config import LaneConfig
from consumers.learner import GROUP, Learner, LearnerConfig
from engram.cli import main
from engram.parts import create_topics
from engram.replay_command import run_replay
from engram.settings import load
from eventlog.deadletter import DeadLetter, Reason
from eventlog.errors import SettingsError
from eventlog.log import Log, Record
from eventlog.open_log import open_log
from eventlog.partitioner import partition_of
from eventlog.redrive import StoredLetter, parse_corrections, prepare, read_dead_letters, redrive
from eventlog.topics import Topics
from producers.ingest import Ingest
from tests.consumers import ratings_log
from tests.record_batches import pack

LANE = LaneConfig(models=("popularity",), configs={})
LIMITS = ratings_log.LIMITS  # ratings of 0 to 5


class Deployment(NamedTuple):
    """A log with topics, and the flags that name it."""

    log: Log
    topics: Topics
    flags: tuple[str, ...]
    checkpoints: Path


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def deployment(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Deployment]:
    prefix = f"test-{uuid.uuid4().hex[:12]}"
    if request.param == "kafka":
        address = request.getfixturevalue("kafka_bootstrap")
        spec, flags = f"kafka:{address}", ("--log", "kafka", "--bootstrap", address)
    else:
        spec, flags = f"embedded:{tmp_path / 'log.sqlite'}", ("--log-path", str(tmp_path / "log.sqlite"))
    topics = Topics.with_prefix(prefix)
    with open_log(spec) as log:
        create_topics(log, topics, 2)
        yield Deployment(log, topics, (*flags, "--topic-prefix", prefix), tmp_path / "checkpoints")
        for topic in topics:
            log.delete_topic(topic)


class Said(NamedTuple):
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str


@pytest.fixture
def engram(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Said]:
    monkeypatch.chdir(tmp_path)
    for name in ("ENGRAM_DATA_DIR", "ENGRAM_KAFKA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "250")

    def run(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["engram", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        assert isinstance(end.value.code, int)
        return Said(end.value.code, *capsys.readouterr())

    return run


def append(at: Deployment, *values: dict[str, object] | bytes) -> None:
    """Append messages to the partitions of their users."""
    with at.log.writer() as writer:
        for value in values:
            raw = value if isinstance(value, bytes) else json.dumps(value).encode()
            user = str(value.get("user", "")) if isinstance(value, dict) else ""
            writer.append(at.topics.ratings, partition_of(user, 2), [Record(user.encode(), raw)])


def event(user: str, seq: int, **fields: object) -> dict[str, object]:
    return {
        "user": user,
        "item": "i1",
        "rating": 4.0,
        "event_time_ms": 1_000 + seq,
        "source_id": "app",
        "source_seq": seq,
    } | fields


def learn(at: Deployment) -> dict[str, int]:
    """Learn, live, all that is there; the accounting of both lanes, from their checkpoints."""
    config = LearnerConfig(lane=LANE, merge=False, stop_at_end=False, checkpoint_every_s=1e9, limits=LIMITS)
    learner = Learner(at.log, at.topics, config, at.checkpoints)
    ends = {partition: bounds.end for partition, bounds in at.log.bounds(at.topics.ratings).items()}
    while at.log.committed(GROUP, at.topics.ratings) != ends:
        learner.step(0.2)
        learner.commit()
    learner.close()
    total: Counter[str] = Counter()
    for lane in range(2):
        checkpoint = CheckpointStore(at.checkpoints / f"lane-{lane}").load()
        assert checkpoint is not None
        said = checkpoint.meta["lane"]
        total["accepted"] += checkpoint.meta["intake"]["accepted"]
        total["learned"] += said["learned"]
        total["duplicate"] += said["duplicates"]
        total["dead_lettered"] += sum(said["dead_lettered"].values())
    return dict(total)


def summed(accepted: int, learned: int, dead_lettered: int, duplicate: int = 0) -> dict[str, int]:
    assert accepted == learned + dead_lettered + duplicate  # waiting is 0
    return {
        "accepted": accepted,
        "learned": learned,
        "duplicate": duplicate,
        "dead_lettered": dead_lettered,
    }


def ratings_of(at: Deployment) -> list[dict[str, object]]:
    """All JSON messages of the ratings topic."""
    values = []
    for partition, bounds in at.log.bounds(at.topics.ratings).items():
        with at.log.reader(at.topics.ratings, [partition]) as reader:
            while reader.position(partition) < bounds.end:
                values += [value for batch in reader.poll(1_000, 1.0) for value in batch.values]
    return [json.loads(value) for value in values if value and value[:1] == b"{"]


def test_redriven_events_are_learned_once_and_counted(
    deployment: Deployment, engram: Callable[..., Said]
) -> None:
    at = deployment
    append(
        at,
        *(event(f"u{n}", n) for n in range(20)),
        event("u1", 20, rating=50.0, colour="blue"),
        event("u2", 21, rating=60.0),
        event("u3", 22, rating="much"),
        b"no json",
        *(event(f"u{n}", n + 23) for n in range(20)),
    )
    assert learn(at) == summed(44, 40, 4)
    listed = engram("dlq", "list", *at.flags)
    assert listed.code == 0, listed.err
    assert re.search(rf"rating_out_of_scale +│ {at.topics.ratings} +│ 2 +│ 2 +│ 0", listed.out)
    assert re.search(rf"undecodable +│ {at.topics.ratings} +│ 1 +│ 1 +│ 0", listed.out)

    # Uncorrected, all would fail again: nothing is sent.
    limits = ("--rating-max", "5")
    failed = engram("dlq", "redrive", *at.flags, *limits)
    assert failed.code == 0, failed.err
    assert "4 letters: 0 redriven, 4 would fail again, 0 redriven before" in failed.out
    assert "rating is 50, expected 0 to 5" in failed.err
    assert sum(bounds.end for bounds in at.log.bounds(at.topics.ratings).values()) == 44

    correct = ("dlq", "redrive", *at.flags, *limits, "--reason", "rating_out_of_scale", "--set", "rating=5")
    dry = engram(*correct, "--dry-run")
    assert "2 letters: 2 would be redriven, 0 would fail again" in dry.out
    assert '"colour":"blue"' in dry.out
    assert sum(bounds.end for bounds in at.log.bounds(at.topics.ratings).values()) == 44
    done = engram(*correct)
    assert "2 letters: 2 redriven, 0 would fail again, 0 redriven before" in done.out
    # The learner's last sequence of `app` is far beyond 20 and 21: the events are taken all the same.
    assert learn(at) == summed(46, 42, 4)
    again = engram(*correct)
    assert "2 letters: 0 redriven, 0 would fail again, 2 redriven before" in again.out
    assert learn(at) == summed(46, 42, 4)
    [blue] = [one for one in ratings_of(at) if one.get("colour") == "blue" and one["rating"] == 5]
    assert str(blue["key"]).startswith(f"redrive:{at.topics.ratings}/{partition_of('u1', 2)}/")
    assert not {"source_id", "source_seq"} & blue.keys()
    assert re.search(
        rf"rating_out_of_scale +│ {at.topics.ratings} +│ 2 +│ 2 +│ 2", engram("dlq", "list", *at.flags).out
    )


def test_a_redrive_killed_before_its_record_is_a_duplicate(deployment: Deployment) -> None:
    at = deployment
    append(at, event("u1", 0), event("u1", 1, rating=9.0), event("u1", 2))
    assert learn(at) == summed(3, 2, 1)
    [stored] = read_dead_letters(at.log, at.topics.dead_letters)
    [one] = [prepare(stored, {"rating": 3}, LIMITS, 2)]
    assert one.record is not None
    # What a redrive does first, and then it is killed.
    with at.log.writer() as writer:
        writer.append(at.topics.ratings, partition_of("u1", 2), [one.record])
    assert redrive(at.log, at.topics, [one]) == 1
    assert learn(at) == summed(5, 3, 1, duplicate=1)
    [stored] = read_dead_letters(at.log, at.topics.dead_letters)
    assert stored.redriven
    assert redrive(at.log, at.topics, [prepare(stored, {"rating": 3}, LIMITS, 2)]) == 0


def test_an_event_of_a_pack_and_a_refused_line_are_redriven(
    deployment: Deployment, engram: Callable[..., Said]
) -> None:
    at = deployment
    rows = [("u1", f"i{n}", 1_000 + n, n) for n in range(5)]
    packed = pack(rows, ratings=np.array([4.0, 4.0, 9.0, 4.0, 4.0]))
    with at.log.writer() as writer:
        writer.append(at.topics.ratings, partition_of("u1", 2), [packed])
    lines = [
        b'{"user":"u2","item":"i1","rating":2,"event_time_ms":5}',
        b'{"user":"u2","item":"i2","event_time_ms":6}',
    ]
    assert Ingest(at.log, at.topics, "lines", LIMITS).run(lines)[:3] == (2, 1, 1)
    assert learn(at) == summed(6, 5, 1)
    shown = engram("dlq", "list", *at.flags).out
    assert "ingest:lines" in shown
    done = engram("dlq", "redrive", *at.flags, "0", "1", "--set", "rating=1", "--rating-max", "5")
    assert "2 letters: 2 redriven" in done.out, done.err
    assert learn(at) == summed(8, 7, 1)
    again = {(one["user"], one["item"], one["rating"]) for one in ratings_of(at) if "key" in one}
    assert again == {("u1", "i2", 1), ("u2", "i2", 1)}
    # Ingestion still knows how far it is: the record of a redrive is no dead line of its own.
    assert Ingest(at.log, at.topics, "lines", LIMITS).run(lines)[:4] == (2, 0, 0, 2)


def test_one_letter_is_shown_whole(deployment: Deployment, engram: Callable[..., Said]) -> None:
    at = deployment
    append(at, event("u1", 0, rating=50.0, colour="blue"), b"\xc1\x02")
    learn(at)
    letters = {one.letter.reason: one for one in read_dead_letters(at.log, at.topics.dead_letters)}
    shown = engram("dlq", "show", str(letters[Reason.RATING_OUT_OF_SCALE].offset), *at.flags)
    assert shown.code == 0, shown.err
    assert f"position  {at.topics.ratings}/{partition_of('u1', 2)}/" in shown.out
    assert "rating is 50, expected 0 to 5" in shown.out
    assert json.loads(shown.out[shown.out.index("{") :])["colour"] == "blue"
    assert "c102" in engram("dlq", "show", str(letters[Reason.UNDECODABLE].offset), *at.flags).out
    missing = engram("dlq", "show", "77", *at.flags)
    assert (missing.code, "at is 77" in missing.err) == (2, True)


def test_letters_written_again_by_an_interrupted_learner_count_once(deployment: Deployment) -> None:
    at = deployment
    append(at, event("u1", 0, rating=50.0))
    learn(at)
    [stored] = read_dead_letters(at.log, at.topics.dead_letters)
    with at.log.writer() as writer:
        writer.append(at.topics.dead_letters, 0, [stored.letter.to_record()] * 2)
    assert list(read_dead_letters(at.log, at.topics.dead_letters)) == [stored]


def test_offsets_show_how_far_the_learner_is(deployment: Deployment, engram: Callable[..., Said]) -> None:
    at = deployment
    user = next(f"u{n}" for n in range(99) if partition_of(f"u{n}", 2) == 1)
    append(at, *(event(user, n) for n in range(7)))
    learn(at)
    append(at, *(event(user, n) for n in range(7, 9)))
    shown = engram("offsets", *at.flags)
    assert shown.code == 0, shown.err
    assert re.search(rf"{at.topics.ratings} +│ 0 +│ 0 +│ 0 +│ 0 +│ 0 ", shown.out)
    assert re.search(rf"{at.topics.ratings} +│ 1 +│ 0 +│ 9 +│ 7 +│ 2 ", shown.out)
    for topic in set(at.topics) - {at.topics.contributions}:  # nobody shares
        assert topic in shown.out
    other = engram("offsets", *at.flags[:-1], "nothing")
    assert (other.code, "topic_prefix is 'nothing'" in other.err) == (1, True)


def test_a_run_folder_names_its_log(engram: Callable[..., Said], tmp_path: Path) -> None:
    assert run_replay(
        load({"dataset": "synthetic", "limit": 300, "models": ["popularity"]}), tmp_path / "run", quiet=True
    )
    shown = engram("offsets", "--run", "run")
    assert shown.code == 0, shown.err
    [ratings] = [line for line in shown.out.splitlines() if ".ratings" in line]
    begin, end, read, lag = [cell.strip() for cell in ratings.split("│")[3:7]]
    assert (begin, read, lag) == ("0", end, "0")
    assert int(end) > 0
    assert "No dead letters." in engram("dlq", "list", "--run", "run").out


@pytest.mark.parametrize("text", ["rating", "=5", "key=a", "source_seq=3"])
def test_bad_corrections_are_clear_errors(text: str) -> None:
    with pytest.raises(SettingsError, match="set is"):
        parse_corrections([text])


def test_corrections_keep_ids_as_text() -> None:
    assert parse_corrections(["user=5", "rating=4.5", "kind=view", "note=x=y"]) == {
        "user": "5",
        "rating": 4.5,
        "kind": "view",
        "note": "x=y",
    }


def test_a_correction_of_everything_is_refused(engram: Callable[..., Said]) -> None:
    run = engram("dlq", "redrive", "--set", "rating=5")
    assert run.code == 2
    assert "expected --reason or the offsets" in run.err


def test_a_position_too_long_for_a_key_is_hashed() -> None:
    payload = json.dumps(event("u1", 1)).encode()
    name = "ingest:" + "s" * 256
    letter = DeadLetter(
        topic=name, partition=-1, offset=7, index=-1, reason=Reason.RATING_MISSING, detail="", payload=payload
    )
    made = prepare(StoredLetter(3, letter, redriven=False), {}, LIMITS, 1)
    assert made.record is not None
    assert made.record.value is not None
    key = json.loads(made.record.value)["key"]
    assert key == "redrive:" + hashlib.blake2b(f"{name}/-1/7/-1".encode(), digest_size=32).hexdigest()
