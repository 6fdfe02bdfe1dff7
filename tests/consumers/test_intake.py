"""The lane's order: one for all ways of reading, the same after a restore at any point, and every event accounted for."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.intake import Intake
from eventlog.controls import Control, ControlKind
from eventlog.deadletter import DeadLetter
from eventlog.decode import decode
from eventlog.event_checks import Limits
from eventlog.log import Record
from tests.oracles.merge_oracle import Entry, merged
from tests.record_batches import batch_of, json_event, pack

pytestmark = pytest.mark.oracle

LIMITS = Limits(rating_max=5.0)
Logs = list[list[Record]]


def control(kind: ControlKind, source: str = "replay", time_ms: int = 0, seq: int = -1) -> Record:
    total = 100 if kind is ControlKind.START else None
    return Control(
        control=kind, source_id=source, event_time_ms=time_ms, source_seq=seq, total_events=total
    ).to_record()


START, END = control(ControlKind.START), control(ControlKind.END, time_ms=10**9, seq=10**9)


class Reading:
    """Reads logs into an intake, in any portions, and keeps what comes out."""

    def __init__(self, logs: Logs) -> None:
        self.logs = logs
        self.intake = Intake(range(len(logs)))
        self.at = [0] * len(logs)
        self.taken: list[str] = []
        self.rejects: list[DeadLetter] = []

    def read(self, partition: int, records: int) -> None:
        """Offer the next records of a partition."""
        first = self.at[partition]
        part = self.logs[partition][first : first + records]
        if part:
            self.intake.offer(partition, decode(batch_of(part, partition, first), LIMITS))
            self.at[partition] += len(part)
            self.check()

    def take(self, max_events: int) -> int:
        """Take once; returns how many events and dead letters came."""
        found = self.intake.take(max_events)
        if found is None:
            return 0
        assert len(found.events) <= max_events
        self.taken += [user.decode() for user in found.events.users]
        self.rejects += found.rejects
        self.check()
        return len(found.events) + len(found.rejects)

    def check(self) -> None:
        """Accepted = taken + dead letters + waiting."""
        dead = sum(letter.events for letter in self.rejects)
        assert self.intake.accepted == len(self.taken) + dead + self.intake.waiting

    def restart(self) -> None:
        """Go on with a new intake from what a checkpoint would hold."""
        meta = json.loads(json.dumps(self.intake.meta()))
        self.intake = Intake(range(len(self.logs)))
        self.intake.restore(meta)
        for partition, (offset, _) in self.intake.positions.items():
            self.at[partition] = offset
        self.check()

    def finish(self) -> Reading:
        """Read and take all that is left."""
        for partition, log in enumerate(self.logs):
            while self.at[partition] < len(log):
                self.read(partition, 5)
        while self.take(7):
            pass
        return self


def disordered(rng: random.Random, entries: list[Entry]) -> list[Entry]:
    """Let some entries come one place late."""
    entries = list(entries)
    for at in range(len(entries) - 1):
        if rng.random() < 0.2:
            entries[at], entries[at + 1] = entries[at + 1], entries[at]
    return entries


def name_of(entry: Entry) -> str:
    return f"e{entry.seq}"


def replayed(seed: int, partitions: int, pack_size: int, *, bad: float = 0.1) -> tuple[Logs, list[str]]:
    """Logs of one source with watermarks, disorder and dead letters, and the names of good events in order."""
    rng = random.Random(seed)
    logs: Logs = [[START] for _ in range(partitions)]
    good: list[list[Entry]] = [[] for _ in range(partitions)]
    time_ms, seq = 0, 0
    for _ in range(rng.randint(1, 6)):
        waiting: list[list[Entry]] = [[] for _ in range(partitions)]
        for _ in range(rng.randint(0, 30)):
            time_ms += rng.choice([0, 0, 1, 5])
            waiting[rng.randrange(partitions)].append(Entry(time_ms, seq))
            seq += 1
        for partition, entries in enumerate(waiting):
            shuffled = disordered(rng, entries)
            for first in range(0, len(entries), pack_size):
                part = shuffled[first : first + pack_size]
                fine = [rng.random() > bad for _ in part]
                good[partition] += [entry for entry, ok in zip(part, fine, strict=True) if ok]
                rows = [(name_of(entry), "i", entry.time_ms, entry.seq) for entry in part]
                logs[partition].append(pack(rows, ratings=np.where(fine, 4.0, 9.0)))
            if rng.random() < bad:
                logs[partition].append(Record(None, b"junk"))
            if rng.random() < 0.7:
                logs[partition].append(control(ControlKind.WATERMARK, "replay", time_ms, seq - 1))
        # A watermark promises that nothing at or below it follows.
        time_ms += 1
    for log in logs:
        log.append(END)
    return logs, [name_of(entry) for entry in merged(good)]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(0, 3), st.integers(1, 3)),
        st.tuples(st.just("take"), st.integers(1, 9), st.just(0)),
        st.tuples(st.just("restart"), st.just(0), st.just(0)),
    ),
    min_size=10,
    max_size=50,
)


def follow(reading: Reading, steps: Sequence[tuple[str, int, int]]) -> Reading:
    for what, first, second in steps:
        if what == "read":
            reading.read(first % len(reading.logs), second)
        elif what == "take":
            reading.take(first)
        else:
            reading.restart()
    return reading.finish()


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    partitions=st.sampled_from([1, 2, 4]),
    pack_size=st.sampled_from([1, 3, 16]),
    steps=STEPS,
)
def test_any_reading_gives_the_one_order(
    seed: int, partitions: int, pack_size: int, steps: list[tuple[str, int, int]]
) -> None:
    logs, expected = replayed(seed, partitions, pack_size)
    reading = follow(Reading(logs), steps)
    assert reading.taken == expected
    assert reading.intake.ended
    assert reading.intake.waiting == 0
    declared = sum(int(dict(record.headers).get("n", b"1")) for log in logs for record in log)
    assert reading.intake.accepted == declared - sum(
        (record.value or b"").startswith(b'{"control"') for log in logs for record in log
    )
    places = [(letter.partition, letter.offset, letter.index) for letter in reading.rejects]
    assert len(set(places)) == len(places)
    assert {partition: at for partition, (at, _) in reading.intake.positions.items()} == {
        partition: len(log) for partition, log in enumerate(logs)
    }


def one_partition(rng: random.Random, number: int, names: Iterator[int]) -> list[Record]:
    """Two sources, one after the other or at once, with equal moments, late events and broken watermarks."""
    log = [control(ControlKind.START, "a")]
    begins, a_ends, b_ends = [*sorted(rng.sample(range(30), 2)), rng.randint(20, 35)]
    if rng.random() < 0.5:
        begins, a_ends = a_ends, begins
    b_ends = max(b_ends, begins + 1)
    open_sources = ["a"]
    for step in range(36):
        if step == begins:
            log.append(control(ControlKind.START, "b"))
            open_sources.append("b")
        if step == a_ends:
            log.append(control(ControlKind.END, "a", rng.randint(0, 4), 1))
            open_sources.remove("a")
        if step == b_ends:
            log.append(control(ControlKind.END, "b", rng.randint(0, 4), 1))
            open_sources.remove("b")
        if not open_sources:
            continue
        source, time_ms, seq = rng.choice(open_sources), rng.randint(0, 4), rng.randint(0, 1)
        chance = rng.random()
        if chance < 0.15:
            log.append(control(ControlKind.WATERMARK, source, time_ms, seq))
        elif chance < 0.25:
            log.append(Record(None, b"junk"))
        elif chance < 0.35:
            log.append(
                Record(
                    None,
                    json_event(
                        user=f"p{number}e{next(names)}", event_time_ms=time_ms, source_id=..., key="k"
                    ),
                )
            )
        else:
            rows = [
                (f"p{number}e{next(names)}", "i", time_ms + rng.randint(0, 1), seq)
                for _ in range(rng.randint(1, 4))
            ]
            log.append(pack(rows, source))
    log += [control(ControlKind.END, source) for source in open_sources]
    return log


@pytest.mark.compiled
@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 10**6), partitions=st.sampled_from([2, 3]), steps=STEPS)
def test_the_order_is_in_the_log_alone(seed: int, partitions: int, steps: list[tuple[str, int, int]]) -> None:
    """Whatever producers write, and however it is read; each partition's own order is kept."""
    rng, names = random.Random(seed), iter(range(10**6))
    logs = [one_partition(rng, number, names) for number in range(partitions)]
    expected = Reading(logs).finish()
    found = follow(Reading(logs), steps)
    assert found.taken == expected.taken
    assert found.intake.ended
    for number in range(partitions):
        mine = [int(name.partition("e")[2]) for name in found.taken if name.startswith(f"p{number}")]
        assert mine == sorted(mine)


def row(name: str, time_ms: int, seq: int) -> Record:
    return pack([(name, "i", time_ms, seq)])


def watermark(time_ms: int, seq: int) -> Record:
    return control(ControlKind.WATERMARK, "replay", time_ms, seq)


def test_nothing_leaves_before_every_partition_has_passed_it() -> None:
    reading = Reading([[START, row("a", 10, 0), row("c", 30, 2), END], [START, row("b", 20, 1), END]])
    reading.read(0, 3)
    assert reading.take(9) == 0  # partition 1 could bring anything
    reading.read(1, 1)
    assert reading.take(9) == 0
    reading.read(1, 1)
    reading.take(9)
    assert reading.taken == ["a", "b"]
    assert reading.take(9) == 0  # another event at 20 could follow
    assert reading.intake.waiting == 1
    reading.read(1, 1)
    reading.take(9)
    assert reading.taken == ["a", "b", "c"]
    assert not reading.intake.ended
    reading.read(0, 1)
    assert reading.intake.ended


def test_a_watermark_lets_events_pass_an_idle_partition() -> None:
    reading = Reading(
        [[START, row("a", 10, 0), row("c", 30, 2)], [START, watermark(30, 0), watermark(30, 1)]]
    )
    reading.read(0, 9)
    reading.read(1, 2)
    reading.take(9)
    assert reading.taken == ["a"]
    reading.read(1, 1)
    reading.take(9)
    assert reading.taken == ["a", "c"]
    assert not reading.intake.ended


def test_one_partition_never_waits() -> None:
    reading = Reading([[row("b", 20, 1), row("a", 10, 0)]])
    reading.read(0, 1)
    reading.take(9)
    reading.read(0, 1)
    reading.take(9)
    assert reading.taken == ["b", "a"]
    assert not reading.intake.ended  # no source was announced


def test_an_event_late_within_its_partition_keeps_its_place() -> None:
    """By hand: c (10, 0) comes after b (20, 1) in partition 0, so it goes where b goes; d (15, 3) is between."""
    logs = [[START, row("b", 20, 1), row("c", 10, 0), END], [START, row("d", 15, 3), row("f", 25, 4), END]]
    assert Reading(logs).finish().taken == ["d", "b", "c", "f"]


def test_a_second_source_comes_after_the_first_on_every_partition() -> None:
    later = [control(ControlKind.START, "b"), pack([("late", "i", 5, 0)], "b"), control(ControlKind.END, "b")]
    logs = [[START, row("a", 10, 0), END, *later], [START, row("c", 30, 2), row("d", 40, 3), END]]
    reading = Reading(logs)
    reading.read(0, 9)
    reading.read(1, 3)
    reading.take(9)
    assert reading.taken == ["a", "c", "d"]
    reading.read(1, 1)
    assert reading.take(9) == 0  # partition 1 has not seen source b
    logs[1] += [control(ControlKind.START, "b"), control(ControlKind.END, "b")]
    reading.finish()
    assert reading.taken == ["a", "c", "d", "late"]
    assert reading.intake.ended


def test_the_totals_of_all_sources_are_added_up() -> None:
    intake = Intake([0])
    assert intake.total_events is None
    for source, total in (("a", 3), ("b", 4)):
        start = Control(control=ControlKind.START, source_id=source, total_events=total)
        intake.offer(0, decode(batch_of([start.to_record()]), LIMITS))
    assert intake.total_events == 7
    unknown = Control(control=ControlKind.START, source_id="c")
    intake.offer(0, decode(batch_of([unknown.to_record()]), LIMITS))
    assert intake.total_events is None


def test_a_position_in_the_middle_of_a_pack() -> None:
    names = [f"e{at}" for at in range(6)]
    logs = [[START, pack([(name, "i", at, at) for at, name in enumerate(names)]), END]]
    reading = Reading(logs)
    reading.read(0, 3)
    reading.take(4)
    assert reading.intake.positions == {0: (1, 4)}
    assert reading.intake.accepted == 6
    reading.restart()
    assert reading.intake.accepted == 4
    assert not reading.intake.ended
    reading.finish()
    assert reading.taken == names
    assert reading.intake.positions == {0: (3, 0)}


def test_dead_letters_come_with_what_they_lie_before() -> None:
    ratings = np.array([9.0, 4.0, 9.0, 4.0, 9.0])
    logs = [[START, pack([(f"e{at}", "i", at, at) for at in range(5)], ratings=ratings), END]]
    reading = Reading(logs)
    reading.read(0, 2)
    reading.take(1)
    assert [letter.index for letter in reading.rejects] == [0, 2]  # the next event is number 3
    assert reading.intake.waiting == 2
    reading.restart()
    reading.finish()
    assert [letter.index for letter in reading.rejects] == [0, 2, 4]


def test_a_restore_before_a_dead_letter_reads_the_end_behind_it_again() -> None:
    """Source a's watermark at 100 is read twice; it is of the first era and must not hold up source b's event at 5."""
    begin, end = control(ControlKind.START, "b"), control(ControlKind.END, "b")
    late = pack([("b at 5", "i", 5, 0)], "b")
    logs = [
        [START, row("a", 1, 0), Record(None, b"junk"), watermark(100, 0), END, begin, late, end],
        [START, END, begin, pack([("b at 50", "i", 50, 1)], "b"), end],
    ]
    reading = Reading(logs)
    reading.read(0, 2)
    reading.read(1, 9)
    reading.take(9)
    assert reading.taken == ["a"]
    reading.read(0, 9)
    reading.restart()
    assert reading.intake.positions == {0: (2, 0), 1: (3, 0)}
    reading.finish()
    assert reading.taken == ["a", "b at 5", "b at 50"]
    assert len(reading.rejects) == 1


def test_partitions_far_ahead_are_to_be_paused_and_never_the_one_that_is_waited_for() -> None:
    intake = Intake([0, 1], room=3)
    assert intake.full == set()
    rows = [(f"e{at}", "i", at, at) for at in range(5)]
    intake.offer(0, decode(batch_of([START, pack(rows)], 0), LIMITS))
    assert intake.full == {0}
    intake.offer(1, decode(batch_of([START, watermark(10, 10)], 1), LIMITS))
    assert intake.full == set()
    assert intake.waiting == 5


@pytest.mark.parametrize("partitions", [1, 3])
def test_restoring_an_end_stays_ended(partitions: int) -> None:
    logs, _ = replayed(5, partitions, 3)
    reading = Reading(logs).finish()
    before = reading.intake.accepted
    reading.restart()
    assert reading.intake.ended
    assert reading.intake.accepted == before
    assert reading.intake.total_events == 100
