"""Cuts of the log: a learner's positions, what was taken back, and nothing that comes later."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from batch_models.item_factors import train
from consumers.log_cut import LogFollower
from eventlog.cut import Cut
from eventlog.log import Record
from eventlog.sqlite_log import SqliteLog
from tests.consumers.ratings_log import (
    EVENTS,
    LANE,
    LIMITS,
    TOPICS,
    create_topics,
    finish,
    is_bad,
    learner,
    replay,
    rows,
    summaries,
)
from tests.record_batches import json_event

ROWS = [row for row in rows() if not is_bad(row)]


def follow(log: SqliteLog, *, merge: bool = True) -> LogFollower:
    return LogFollower(log, TOPICS.ratings, merge=merge, limits=LIMITS, scale=(0.0, 5.0))


def cut_at(log: SqliteLog, events: int, *, chunk: int = 97, merge: bool = True) -> Cut:
    follower = follow(log, merge=merge)
    while follower.events < events:
        follower.read(0.0)
        follower.take(min(chunk, events - follower.events))
    cut = follower.cut()
    follower.close()
    return cut


def triples(cut: Cut) -> list[tuple[str, str, int]]:
    users, items = cut.user_ids[cut.user].tolist(), cut.item_ids[cut.item].tolist()
    return [
        (user.decode(), item.decode(), time_ms)
        for user, item, time_ms in zip(users, items, cut.time_ms.tolist(), strict=True)
    ]


@pytest.mark.parametrize("partitions", [1, 4])
@pytest.mark.parametrize("events", [1, 400, len(ROWS)])
def test_a_cut_is_the_first_events_of_the_learner_s_order(
    tmp_path: Path, partitions: int, events: int
) -> None:
    with SqliteLog(tmp_path / "log.db") as log:
        create_topics(log, partitions)
        replay(log, partitions, 16, rows())
        for chunk in (3, 10_000):
            cut = cut_at(log, events, chunk=chunk)
            # Bad events and repeated messages take no number.
            assert triples(cut) == [row[:3] for row in ROWS[:events]]
            assert (cut.events, cut.clock_time_ms) == (events, max(row[2] for row in ROWS[:events]))
        if events == len(ROWS) and partitions == 1:
            lane = replace(LANE, models=("popularity",), configs={})
            finish(learner(log, tmp_path / "checkpoints", lane=lane))
            [summary] = summaries(log)
            assert summary.events == events
            follower = follow(log)
            while not follower.ended:
                follower.read(0.0)
                follower.take(1000)
            assert follower.events == events
            follower.close()


def test_a_later_event_cannot_reach_training(tmp_path: Path) -> None:
    """The same artefact, whether or not the log goes on behind the cut, in time and in what it takes back."""
    cut_events = 300
    ends = [cut_events, EVENTS]
    found = []
    for number, last in enumerate(ends):
        with SqliteLog(tmp_path / f"log-{number}.db") as log:
            create_topics(log, 1)
            replay(log, 1, 16, [row for row in rows() if not is_bad(row)][: last if last < EVENTS else None])
            if last == EVENTS:
                user, item, *_ = ROWS[0]
                late = [
                    json_event(user=user, item=item, kind="retract", rating=..., source_id="x", source_seq=0),
                    json_event(
                        user=user, item="", kind="forget_user", rating=..., source_id="x", source_seq=1
                    ),
                    # From before everything else, as far as its time goes.
                    json_event(user="early", item="early", event_time_ms=0, source_id="x", source_seq=2),
                ]
                with log.writer() as writer:
                    writer.append(TOPICS.ratings, 0, [Record(None, value) for value in late])
            cut = cut_at(log, cut_events)
            found.append((cut.digest(), train(cut, 0)))
    assert found[0][0] == found[1][0]
    assert found[0][1].manifest.item_ids == found[1][1].manifest.item_ids
    for name, array in found[0][1].arrays.items():
        assert array.tobytes() == found[1][1].arrays[name].tobytes()


def test_what_was_taken_back_is_left_out_and_a_time_ends_a_cut(tmp_path: Path) -> None:
    def said(seq: int, **fields: object) -> Record:
        return Record(None, json_event(source_seq=seq, **fields))

    with SqliteLog(tmp_path / "log.db") as log:
        create_topics(log, 1)
        with log.writer() as writer:
            records = [
                said(0, user="a", item="x", event_time_ms=10),
                said(1, user="b", item="x", event_time_ms=20),
                said(2, user="a", item="y", event_time_ms=30),
                said(3, user="a", item="x", kind="retract", rating=..., event_time_ms=35),
                said(4, user="c", item="y", event_time_ms=40),
                said(5, user="c", item="", kind="forget_user", rating=..., event_time_ms=45),
                said(6, user="c", item="x", event_time_ms=50),
                said(7, user="nobody", item="x", kind="retract", rating=...),
                said(8, user="b", item="y", event_time_ms=60),
            ]
            writer.append(TOPICS.ratings, 0, records)
        cut = cut_at(log, 6)
        assert triples(cut) == [("b", "x", 20), ("a", "y", 30), ("c", "x", 50), ("b", "y", 60)]
        assert cut.events == 6
        follower = follow(log)
        follower.stop_before(45)
        while not follower.stopped:
            follower.read(0.0)
            follower.take(100)
        # What takes back has its time, too.
        assert triples(follower.cut()) == [("b", "x", 20), ("a", "y", 30), ("c", "y", 40)]
        assert (follower.events, follower.clock_time_ms) == (4, 40)
        assert follower.take(100) == 0
        follower.close()


def test_lanes_of_their_own_are_one_cut_in_order_of_time(tmp_path: Path) -> None:
    with SqliteLog(tmp_path / "log.db") as log:
        create_topics(log, 4)
        replay(log, 4, 16, rows())
        cut = cut_at(log, len(ROWS), merge=False)
        assert sorted(triples(cut)) == sorted(row[:3] for row in ROWS)
        assert (np.diff(cut.time_ms) >= 0).all()
