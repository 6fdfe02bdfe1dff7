"""Tags of items, each with the time from which it is known.

Everything is in order of time, so what is known at a moment is the beginning of each list: of all tags, of those of an
item, and of the items that have a tag. A model keeps how long these beginnings are, and moves them along.

A tag's text counts without regard to case and to white space around and within it. Of the text only a hash is kept,
so there is no list of tags that could fill up, and what is given later changes nothing of what was before.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Tags(NamedTuple):
    """The arrays that kernels read. Token: dense number of a tag's text, from 0.

    In order of time, int64 and int32[tags]: time_ms, entry, token. of_entry: int32[tags], tokens of entry e, in order
    of time, at of_entry[entry_start[e] : entry_start[e + 1]] (int64[entries + 1]). of_token: int32[tags], entries that
    were given token t, at of_token[token_start[t] : token_start[t + 1]] (int64[tokens + 1]), once for each time.
    """

    time_ms: NDArray[np.int64]
    entry: NDArray[np.int32]
    token: NDArray[np.int32]
    entry_start: NDArray[np.int64]
    of_entry: NDArray[np.int32]
    token_start: NDArray[np.int64]
    of_token: NDArray[np.int32]


class TagStore:
    """Tags of a catalogue's entries."""

    def __init__(self) -> None:
        self._time_ms = np.zeros(0, np.int64)
        self._entry = np.zeros(0, np.int32)
        self._hash = np.zeros(0, np.uint32)
        self._view: Tags | None = None

    def __len__(self) -> int:
        return len(self._time_ms)

    def say(self, tags: Mapping[int, Sequence[tuple[int, str]]]) -> None:
        """Replace the tags of the entries in `tags` ({entry: (event_time_ms, text) of each}); blank ones are left out."""
        stays = ~np.isin(self._entry, np.fromiter(tags, np.int32, len(tags)))
        fresh = [
            (time_ms, entry, hash_of(text))
            for entry, said in tags.items()
            for time_ms, text in said
            if text.strip()
        ]
        if not fresh and stays.all():
            return
        time_ms, entry, hashes = zip(*fresh, strict=True) if fresh else ((), (), ())
        columns = (
            np.concatenate([self._time_ms[stays], np.array(time_ms, np.int64)]),
            np.concatenate([self._entry[stays], np.array(entry, np.int32)]),
            np.concatenate([self._hash[stays], np.array(hashes, np.uint32)]),
        )
        # Stable, and by entry: the order does not depend on how the topic was cut into batches.
        order = np.lexsort((columns[1], columns[0]))
        self._time_ms, self._entry, self._hash = (column[order] for column in columns)
        self._view = None

    def view(self, entries: int) -> Tags:
        """The arrays that kernels read, for entries [0, entries): the same object until something changes."""
        if self._view is None or len(self._view.entry_start) != entries + 1:
            hashes, numbers = np.unique(self._hash, return_inverse=True)
            token = numbers.astype(np.int32)
            entry_start, of_entry = _grouped(self._entry, entries, token)
            token_start, of_token = _grouped(token, len(hashes), self._entry)
            self._view = Tags(self._time_ms, self._entry, token, entry_start, of_entry, token_start, of_token)
        return self._view

    @property
    def state_bytes(self) -> int:
        """Bytes of the tags, and of the lists made of them."""
        return len(self) * 28

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Named arrays for a checkpoint: time_ms int64, entry int32, token uint32 (the hash), in order of time."""
        return {"time_ms": self._time_ms, "entry": self._entry, "token": self._hash}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what `arrays` describes."""
        self._time_ms, self._entry = arrays["time_ms"].copy(), arrays["entry"].copy()
        self._hash = arrays["token"].copy()
        self._view = None


def hash_of(text: str) -> int:
    """CRC-32 of a tag's text, as it counts; two of 100,000 texts share one once or twice."""
    return zlib.crc32(" ".join(text.casefold().split()).encode())


def _grouped(
    of: NDArray[np.int32], groups: int, values: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Where the values of each group begin (int64[groups + 1]), and the values group by group, in their order."""
    start = np.zeros(groups + 1, np.int64)
    np.cumsum(np.bincount(of, minlength=groups), out=start[1:])
    return start, values[np.argsort(of, kind="stable")]
