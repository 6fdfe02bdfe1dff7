"""Slices in plain Python: which events are in each, said once more."""

from __future__ import annotations

from collections.abc import Callable

# Slice: (items that the user had had, users who had had the item) -> whether the event is in it.
BELONGS: dict[str, Callable[[int, int], bool]] = {
    "user_1": lambda user, _: user == 0,
    "user_2_5": lambda user, _: 1 <= user <= 4,
    "user_6_20": lambda user, _: 5 <= user <= 19,
    "user_21": lambda user, _: user >= 20,
    "item_1_9": lambda _, item: 1 <= item <= 9,
    "item_10_99": lambda _, item: 10 <= item <= 99,
    "item_100_999": lambda _, item: 100 <= item <= 999,
    "item_1000": lambda _, item: item >= 1000,
}
