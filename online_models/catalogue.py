"""What is known of items beside who had them: genres, year, language and tags, as the items topic states them.

An entry is one item of the catalogue, whether or not anybody has had it; item rows point to entries. Genres are bits
of a mask and languages are numbers, both in order of first appearance, so they depend on the topic alone.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_models.ids import IdTable, grown
from online_models.timed_tags import Tags, TagStore

MAX_GENRES = 64
NOTHING_KNOWN = 0  # the entry of an item without metadata
_log = logging.getLogger(__name__)


class Catalogue(NamedTuple):
    """The arrays that models read.

    entry: int32[items], the entry of an item's row, 0 where nothing is known. Of each entry (entry 0 is all zero):
    genres uint64 (bit = number of the genre), year int16 and language int16 (0: unknown), genre_set int32, which of
    the genre_sets (uint64[sets], the masks that occur, set 0 empty) its genres are; row int32, the item's row, -1
    while nobody has had it. tags: those of all entries, each with its time.
    """

    entry: NDArray[np.int32]
    genres: NDArray[np.uint64]
    year: NDArray[np.int16]
    language: NDArray[np.int16]
    genre_set: NDArray[np.int32]
    genre_sets: NDArray[np.uint64]
    row: NDArray[np.int32]
    tags: Tags


class _Facts(NamedTuple):
    """The arrays of entries, with room to grow; see `Catalogue`."""

    genres: NDArray[np.uint64]
    year: NDArray[np.int16]
    language: NDArray[np.int16]
    genre_set: NDArray[np.int32]
    row: NDArray[np.int32]


class ItemFacts(NamedTuple):
    """What one record of the items topic says; year and language None where it does not.

    tags: (event_time_ms, text) of each.
    """

    item: str
    genres: Sequence[str]
    year: int | None
    language: str | None
    tags: Sequence[tuple[int, str]] = ()


class CatalogueStore:
    """The catalogue of one lane: entries by id, and the entry of each item row."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self.genres: list[str] = []
        self.languages: list[str] = []
        self._ids = IdTable()
        self._ids.rows(np.array([b"\x01nothing"], np.bytes_))  # entry 0; no id holds a control character
        self._entry = np.zeros(256, np.int32)
        self._facts = _Facts(
            np.zeros(256, np.uint64),
            np.zeros(256, np.int16),
            np.zeros(256, np.int16),
            np.zeros(256, np.int32),
            np.full(256, -1, np.int32),
        )
        self._genre_sets = np.zeros(1, np.uint64)
        self._sets = {0: 0}  # {mask: its number}, in order of first appearance
        self._tags = TagStore()
        self._rows = 0

    def __len__(self) -> int:
        """How many items have an entry."""
        return len(self._ids) - 1

    @property
    def view(self) -> Catalogue:
        """The arrays that models read, entries in use only; valid until the next change."""
        facts, n = self._facts, len(self._ids)
        columns = (facts.genres[:n], facts.year[:n], facts.language[:n], facts.genre_set[:n])
        return Catalogue(self._entry, *columns, self._genre_sets, facts.row[:n], self._tags.view(n))

    def add(self, facts: Sequence[ItemFacts], items: IdTable) -> None:
        """Add entries, or say anew what is known of them; items: ids of the rows that exist."""
        if not facts:
            return
        ids = np.array([fact.item.encode() for fact in facts], np.bytes_)
        entries = self._ids.rows(ids)
        self._reserve(len(self._ids))
        of = self._facts
        for entry, fact in zip(entries.tolist(), facts, strict=True):
            mask = self._mask(fact.genres)
            of.genres[entry] = mask
            of.genre_set[entry] = self._sets.setdefault(mask, len(self._sets))
            of.year[entry] = fact.year if fact.year is not None and 0 < fact.year < 1 << 15 else 0
            of.language[entry] = self._language(fact.language)
        self._genre_sets = np.array(list(self._sets), np.uint64)
        self._tags.say(dict(zip(entries.tolist(), (fact.tags for fact in facts), strict=True)))
        rows = items.find_all(ids)
        known = (rows >= 0) & (rows < self._rows)
        of.row[entries[known]] = rows[known]
        self._entry[rows[known]] = entries[known]

    def follow(self, ids: NDArray[np.bytes_], rows: NDArray[np.int32]) -> None:
        """Give the rows of `ids` (`S<width>`[n], int32[n]) their entries; rows that have one keep it."""
        if not len(rows) or int(rows.max()) < self._rows:
            return
        fresh = rows >= self._rows
        entries = self._ids.find_all(ids[fresh])
        entries[entries < 0] = NOTHING_KNOWN
        self._entry = grown(self._entry, int(rows.max()) + 1)
        self._entry[rows[fresh]] = entries
        self._facts.row[entries] = rows[fresh]
        self._facts.row[NOTHING_KNOWN] = -1
        self._rows = int(rows.max()) + 1

    def keep(self, items: NDArray[np.int32]) -> None:
        """Row items[i] becomes row i; the others are dropped, and their entries stay."""
        entry = self._entry[items]
        self._facts.row[:] = -1
        self._entry = grown(entry, max(256, len(items)))
        self._facts.row[entry] = np.arange(len(items), dtype=np.int32)
        self._facts.row[NOTHING_KNOWN] = -1
        self._rows = len(items)

    @property
    def state_bytes(self) -> int:
        """Bytes of the entries in use."""
        return self._ids.state_bytes + len(self._ids) * 16 + self._rows * 4 + self._tags.state_bytes

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Named arrays for a checkpoint: those of `Catalogue`, and of the entries' ids."""
        view = self.view
        return {
            "entry": self._entry[: self._rows],
            "genres": view.genres,
            "year": view.year,
            "language": view.language,
            **{f"tag_{name}": array for name, array in self._tags.arrays().items()},
            **{f"id_{name}": array for name, array in self._ids.arrays().items()},
        }

    def meta(self) -> dict[str, Any]:
        """Names of genres and languages, in the order of their numbers."""
        return {"genres": self.genres, "languages": self.languages}

    def restore(self, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> None:
        """Become what `arrays` and `meta` describe."""
        self._start()
        self.genres, self.languages = list(meta["genres"]), list(meta["languages"])
        self._ids.restore({name: arrays[f"id_{name}"] for name in ("heap", "ends")})
        n, rows = len(self._ids), len(arrays["entry"])
        self._reserve(n)
        for name in ("genres", "year", "language"):
            getattr(self._facts, name)[:n] = arrays[name]
        if "tag_time_ms" in arrays:  # not in a checkpoint from before there were tags
            self._tags.restore({name: arrays[f"tag_{name}"] for name in ("time_ms", "entry", "token")})
        for entry, mask in enumerate(arrays["genres"].tolist()):
            self._facts.genre_set[entry] = self._sets.setdefault(mask, len(self._sets))
        self._genre_sets = np.array(list(self._sets), np.uint64)
        self._entry = grown(self._entry, rows)
        self._entry[:rows] = arrays["entry"]
        self._facts.row[arrays["entry"]] = np.arange(rows, dtype=np.int32)
        self._facts.row[NOTHING_KNOWN] = -1
        self._rows = rows

    def _reserve(self, entries: int) -> None:
        facts = self._facts
        have = len(facts.row)
        self._facts = _Facts(*(grown(array, entries) for array in facts))
        self._facts.row[have:] = -1

    def _mask(self, names: Sequence[str]) -> int:
        mask = 0
        for name in names:
            if name not in self.genres:
                if len(self.genres) == MAX_GENRES:
                    _log.warning("genre %r is not used: there are %d others already", name, MAX_GENRES)
                    continue
                self.genres.append(name)
            mask |= 1 << self.genres.index(name)
        return mask

    def _language(self, name: str | None) -> int:
        if not name:
            return 0
        if name not in self.languages:
            self.languages.append(name)
        return self.languages.index(name) + 1
