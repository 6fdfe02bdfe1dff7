"""Windows over histories, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from batch_models.interactions import Interactions
from batch_models.sequences import PADDING, last_windows, training_windows

# User 0: items 10 to 16, then user 1: one item; user 2: two. Times in the order of the stream.
USER = np.array([0, 0, 1, 0, 2, 0, 0, 2, 0, 0], np.int64)
ITEM = np.array([10, 11, 20, 12, 30, 13, 14, 31, 15, 16], np.int64)
TIME_S = np.array([0, 0, 5, 10, 11, 100, 5000, 5001, 10**6, 10**9])
DATA = Interactions(USER, ITEM, TIME_S * 1000, np.zeros(10, np.float32), 3, 40)
NO = PADDING


def test_windows_by_hand() -> None:
    windows = training_windows(DATA, 4, 3)
    assert windows.user.tolist() == [0, 0, 2]
    assert windows.item.tolist() == [[12, 13, 14, 15], [NO, 10, 11, 12], [NO, NO, NO, 30]]
    assert windows.target.tolist() == [[NO, 14, 15, 16], [NO, 11, 12, 13], [NO, NO, NO, 31]]
    # Classes end at 1, 5, 15, 30, 60, 120, 300, 900 and 3,600 s, at 6 hours, 1, 7 and 30 days; a first event is in the
    # last. The gaps of items 12 to 15 are 10 s, 90 s, 4,900 s and 11 days.
    assert windows.gap[0].tolist() == [2, 5, 9, 12]
    assert windows.gap[1].tolist() == [0, 13, 0, 2]


@pytest.mark.parametrize(("length", "stride"), [(4, 4), (4, 1), (50, 50), (3, 2), (1, 1)])
def test_each_event_but_a_users_first_is_a_target_once(length: int, stride: int) -> None:
    random = np.random.default_rng(0)
    user = random.integers(0, 9, 400)
    data = Interactions(user, np.arange(400), np.arange(400) * 1000, np.zeros(400, np.float32), 9, 400)
    windows = training_windows(data, length, stride)
    targets = windows.target[windows.target != NO]
    first = [int(np.flatnonzero(user == one)[0]) for one in range(9)]
    assert sorted(targets.tolist()) == sorted(set(range(400)) - set(first))
    # Items are numbered by time: what is looked back on is the event before the target.
    for inputs, outputs, owner in zip(windows.item, windows.target, windows.user, strict=True):
        own = np.flatnonzero(user == owner)
        for seen, asked in zip(inputs, outputs, strict=True):
            if asked != NO:
                assert own[np.searchsorted(own, asked) - 1] == seen
        there = inputs[inputs != NO]
        assert (there < max(outputs)).all()


def test_last_windows_end_at_the_last_event() -> None:
    windows = last_windows(DATA, 3)
    assert windows.item.tolist() == [[14, 15, 16], [NO, NO, 20], [NO, 30, 31]]
    assert (windows.target == NO).all()
