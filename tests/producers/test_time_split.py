"""A data set cut once by time: what is learned, and what is asked."""

from __future__ import annotations

import numpy as np
import pytest

from eventlog.errors import DataError
from producers.columns import RatingColumns
from producers.leave_one_out import NEGATIVES, leave_out_last
from producers.time_split import split_by_time


def columns_of(rows: list[tuple[bytes, bytes, float, int]]) -> RatingColumns:
    users, items, ratings, times = zip(*rows, strict=True)
    return RatingColumns(np.array(users), np.array(items), np.array(ratings), np.array(times, np.int64))


def test_what_came_after_and_is_relevant_and_new_is_asked_for() -> None:
    before = [(b"a", b"x", 5.0, at) for at in range(3)] + [(b"b", b"x", 1.0, 3)] * 3
    after = [
        (b"a", b"x", 5.0, 4),  # in training already
        (b"a", b"y", 4.0, 5),
        (b"c", b"y", 3.5, 6),  # not relevant
        (b"c", b"z", 5.0, 7),  # of a user and an item that are new
        (b"c", b"z", 5.0, 8),  # once is enough
    ]
    # 8 of 11 events would be learned without the rule on equal times; the sixth to learn is of time 3.
    split = split_by_time(columns_of(before + after), 4.0, test_share=6 / 11)
    assert split.train.size == 6
    assert list(zip(split.users, split.items, strict=True)) == [(b"a", b"y"), (b"c", b"z")]


def test_nothing_relevant_is_an_error() -> None:
    with pytest.raises(DataError, match="nothing relevant to ask for"):
        split_by_time(columns_of([(b"a", b"x", 1.0, at) for at in range(10)]), 4.0)


def test_the_last_item_of_each_user_of_any_data_set_is_left_out() -> None:
    rows = [
        (b"%d" % user, b"%03d" % (3 * user + k), 4.0, 10 * k + user) for k in range(4) for user in range(60)
    ]
    rows += [(b"0", b"001", 5.0, 999)]  # a repeat of an item that was had
    data = leave_out_last(columns_of(sorted(rows, key=lambda row: row[3])), seed=3)
    assert data.train.size == 60 * 3
    left_out = dict(zip(data.users.tolist(), data.items.tolist(), strict=True))
    assert left_out == {b"%d" % user: b"%03d" % (3 * user + 3) for user in range(60)}
    for user, drawn in zip(data.users.tolist(), data.negatives, strict=True):
        had = {item for owner, item, _, _ in rows if owner == user}
        assert len(set(drawn.tolist()) - had) == NEGATIVES
