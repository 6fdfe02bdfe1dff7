"""What moved in a list, and by which of the reasons that the API gave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from serving.bodies import ItemOut


class Moves(NamedTuple):
    """Places count from 1. entered: items that were not there; risen, fallen: {item: places}; left: titles that went."""

    entered: tuple[str, ...]
    risen: dict[str, int]
    fallen: dict[str, int]
    left: tuple[str, ...]

    @property
    def moved(self) -> int:
        """How many items of the new list stand where they did not."""
        return len(self.entered) + len(self.risen) + len(self.fallen)


def compare(before: Sequence[ItemOut], now: Sequence[ItemOut]) -> Moves:
    """Compare a list with the one before; an item is in each at most once."""
    place = {one.item: at for at, one in enumerate(before)}
    there = {one.item for one in now}
    moved = {one.item: place[one.item] - at for at, one in enumerate(now) if one.item in place}
    return Moves(
        entered=tuple(one.item for one in now if one.item not in place),
        risen={item: by for item, by in moved.items() if by > 0},
        fallen={item: -by for item, by in moved.items() if by < 0},
        left=tuple(one.title for one in before if one.item not in there),
    )


def caused_by(rated: str, now: Sequence[ItemOut], moves: Moves) -> list[tuple[ItemOut, float, float]]:
    """Items that entered or rose, and that `rated` speaks for: (item, weight, share of all that does), strongest first."""
    up = set(moves.entered) | moves.risen.keys()
    found = [
        (one, why.weight, why.share)
        for one in now
        if one.item in up
        for why in one.because
        if why.item == rated
    ]
    return sorted(found, key=lambda of: (-of[1], of[0].item))
