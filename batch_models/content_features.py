"""What is known of items as numbers: genres and decade."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

_FIRST_YEAR, _DECADES = 1910, 12


def content_features(items: int, known: Iterable[tuple[int, Sequence[str], int]]) -> NDArray[np.float32]:
    """Return float32[items, f]: genres, of length 1 together, then the decade, 0 or 1; all 0 where nothing is known.

    known: row, genres, and year (0 where unknown) of items. f is 0 where nothing is known of any.
    """
    known = list(known)
    if not known:
        return np.zeros((items, 0), np.float32)
    genres = sorted({genre for _, of, _ in known for genre in of})
    column = {genre: number for number, genre in enumerate(genres)}
    features = np.zeros((items, len(genres) + _DECADES), np.float32)
    for row, of, year in known:
        for genre in of:
            features[row, column[genre]] = len(of) ** -0.5
        if year:
            features[row, len(genres) + min(max((year - _FIRST_YEAR) // 10, 0), _DECADES - 1)] = 1.0
    return features
