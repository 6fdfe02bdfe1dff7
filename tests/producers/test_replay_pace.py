"""How fast a replay is, by a clock that the tests set, counted in the log by a reader of its own."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from eventlog.errors import SettingsError
from eventlog.log import Log
from eventlog.sqlite_log import SqliteLog
from producers.replay import TICK_S, Pace, Replay
from tests.producers.log_contents import TOPICS, all_events, create_topics
from tests.producers.made_stream import FakeClock, ListStream, abandon, made_events


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    with SqliteLog(tmp_path / "log.sqlite") as log:
        create_topics(log, 2)
        yield log


def written(replay: Replay, clock: FakeClock, log: Log) -> int:
    """Step until the replay waits, and count what a reader finds in the log; the clock stands still."""
    waits, time_s = len(clock.slept), clock.time_s
    while not replay.done and len(clock.slept) == waits:
        replay.step()
    clock.time_s = time_s
    return sum(len(part) for part in all_events(log))


@pytest.mark.parametrize("rate", [8.0, 1024.0, 4096.0])
def test_at_a_fixed_rate(log, rate):
    """Event n is due at n / rate seconds; all numbers here are exact in binary."""
    clock = FakeClock()
    replay = Replay(log, TOPICS, ListStream(made_events(20_000)), Pace(pack=16, rate=rate), clock)
    written(replay, clock, log)  # time counts from here
    for clock.time_s in (0.25, 0.5, 1.0, 5.0):
        assert written(replay, clock, log) == min(int(clock.time_s * rate) + 1, 20_000)
    replay.close()
    assert all(0 < one <= TICK_S for one in clock.slept)


def test_a_changed_pace_counts_from_where_it_was_changed(log):
    """At 8 a second for 1 s: 9 events. A pause of an hour owes nothing; then at 16 a second for 1 s: 17 more."""
    clock = FakeClock()
    replay = Replay(log, TOPICS, ListStream(made_events(100)), Pace(rate=8.0), clock)
    written(replay, clock, log)
    clock.time_s = 1.0
    assert written(replay, clock, log) == 9
    clock.time_s = 3_601.0
    replay.change_pace(Pace(rate=16.0))
    clock.time_s = 3_602.0
    assert written(replay, clock, log) == 9 + 17
    replay.close()


def test_a_high_rate_is_kept_to_within_a_tick(log):
    clock = FakeClock()
    replay = Replay(log, TOPICS, ListStream(made_events(60_000)), Pace(rate=65_536.0), clock)
    written(replay, clock, log)
    for clock.time_s in (0.125, 0.25, 0.5):
        due = int(clock.time_s * 65_536) + 1
        assert due - 65_536 * TICK_S < written(replay, clock, log) <= due
    replay.close()


def test_a_low_rate_is_event_by_event(log):
    clock = FakeClock()
    replay = Replay(log, TOPICS, ListStream(made_events(40)), Pace(rate=8.0), clock)
    for n in range(40):
        clock.time_s = n / 8
        assert written(replay, clock, log) == n + 1
        clock.time_s += 15 / 128  # not yet
        assert written(replay, clock, log) == n + 1
    assert replay.done
    replay.close()


def test_a_fixed_rate_counts_from_where_it_goes_on(log):
    stream, clock = ListStream(made_events(100)), FakeClock()
    first = Replay(log, TOPICS, stream, Pace(rate=8.0), clock)
    clock.time_s = 1_000.0
    assert written(first, clock, log) == 1
    clock.time_s = 1_002.0
    assert written(first, clock, log) == 17
    abandon(first)
    clock.time_s = 2_000.0
    second = Replay(log, TOPICS, stream, Pace(rate=8.0), clock)
    assert written(second, clock, log) == 18
    clock.time_s = 2_001.0
    assert written(second, clock, log) == 26
    second.close()


def timed_stream(times_ms: Sequence[int]) -> ListStream:
    columns = made_events(len(times_ms))
    return ListStream(columns._replace(event_time_ms=np.array(times_ms, np.int64)))


@pytest.mark.parametrize("start_ms", [0, 1, 900_000_000_000])
def test_at_so_many_times_the_real_speed(log, start_ms):
    clock = FakeClock()
    times_ms = [start_ms + later for later in (0, 0, 1_000, 1_500, 1_500, 10_000, 86_410_000)]
    replay = Replay(log, TOPICS, timed_stream(times_ms), Pace(pack=1, speed=2.0), clock)
    for clock.time_s, count in [(0.0, 2), (0.25, 2), (0.5, 3), (0.75, 5), (4.5, 5), (5.0, 6), (43_000.0, 6)]:
        assert written(replay, clock, log) == count
        assert not replay.done
    clock.time_s = 43_205.0
    assert written(replay, clock, log) == 7
    assert replay.done
    replay.close()
    assert all(0 < one <= TICK_S for one in clock.slept)


def test_real_speed_counts_from_the_event_where_it_goes_on(log):
    clock = FakeClock()
    stream = timed_stream([0, 1_000, 61_000, 62_000])
    first = Replay(log, TOPICS, stream, Pace(pack=1, speed=1.0), clock)
    assert written(first, clock, log) == 1
    clock.time_s = 1.0
    assert written(first, clock, log) == 2
    abandon(first)
    clock.time_s = 500.0
    second = Replay(log, TOPICS, stream, Pace(pack=1, speed=1.0), clock)
    assert written(second, clock, log) == 3
    clock.time_s = 501.0
    assert written(second, clock, log) == 4
    second.close()


BAD = [0, -1, -0.5, math.nan, math.inf]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [({"pack": value}, "pack") for value in (0, -1, 4097)]
    + [({"rate": value}, "rate") for value in BAD]
    + [({"speed": value}, "speed") for value in BAD]
    + [({"rate": 1.0, "speed": 1.0}, "rate and speed")],
)
def test_a_bad_pace_names_its_field(arguments, field):
    with pytest.raises(SettingsError, match=f"^{field} (is|are) .*, expected"):
        Pace(**arguments)
