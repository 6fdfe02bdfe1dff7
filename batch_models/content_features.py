"""What is known of items as numbers: genres and decade, and what their sentences say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from batch_models.item_text import ItemRecord, sentence
from batch_models.text_encoders import ENCODERS, text_encoder
from batch_models.vector_cache import encode_cached

_FIRST_YEAR, _DECADES = 1910, 12
GENRES: Final = "genres"
CONTENTS: Final = (GENRES, *ENCODERS)


@dataclass(frozen=True)
class ContentConfig:
    """How items are described.

    encoder: "genres" (and decades) alone, or one of `text_encoders` besides. genre_weight: in [0, 1], the genres' share of
    the similarity of two items, the text's is the rest; with "genres" it says nothing. model: folder of the model of
    "minilm". cache: folder of vectors, None for none.
    """

    encoder: str = GENRES
    genre_weight: float = 0.5
    model: Path | None = None
    cache: Path | None = None

    def __post_init__(self) -> None:
        """Raise `ValueError` for an encoder that is none, and a weight out of range."""
        if self.encoder not in CONTENTS:
            raise ValueError(f"content is {self.encoder!r}, expected one of {', '.join(CONTENTS)}")
        if not 0.0 <= self.genre_weight <= 1.0:
            raise ValueError(f"genre_weight is {self.genre_weight!r}, expected 0 to 1")


def content_features(
    items: int, known: Iterable[ItemRecord], config: ContentConfig | None = None
) -> NDArray[np.float32]:
    """Return float32[items, f]: genres, of length 1 together, then the decade, 0 or 1, then the text; 0 for unknown items.

    With a text, genres have length sqrt(genre_weight) and text sqrt(1 - genre_weight), so that dot products of two items
    weigh their similarities so. f is 0 where nothing is known of any.
    """
    config = config or ContentConfig()
    known = list(known)
    if not known:
        return np.zeros((items, 0), np.float32)
    genres = sorted({genre for record in known for genre in record.genres})
    column = {genre: number for number, genre in enumerate(genres)}
    features = np.zeros((items, len(genres) + _DECADES), np.float32)
    for record in known:
        for genre in record.genres:
            features[record.row, column[genre]] = len(record.genres) ** -0.5
        if record.year:
            decade = min(max((record.year - _FIRST_YEAR) // 10, 0), _DECADES - 1)
            features[record.row, len(genres) + decade] = 1.0
    if config.encoder == GENRES:
        return features
    features[:, : len(genres)] *= config.genre_weight**0.5
    encoder = text_encoder(config.encoder, config.model)
    found, _ = encode_cached(encoder, [sentence(record) for record in known], config.cache)
    text = np.zeros((items, found.shape[1]), np.float32)
    text[[record.row for record in known]] = found * np.float32((1.0 - config.genre_weight) ** 0.5)
    return np.concatenate((features, text), 1)
