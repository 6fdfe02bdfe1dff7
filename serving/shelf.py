"""Titles of items, to be shown and searched: what the topic `items` says, read in a thread of its own."""

from __future__ import annotations

import contextlib
import logging
import re
import threading
from collections import Counter
from collections.abc import Callable
from typing import Final

import msgspec

from eventlog.errors import EngramError, TopicMissingError
from eventlog.log import Log
from eventlog.metadata import ItemMetadata, decode_item

_EVERY_S: Final = 1.0
_RECORDS: Final = 4096
_WORD: Final = re.compile(r"\w+")
_log = logging.getLogger(__name__)


class Shelf:
    """What is known of items by id; safe to ask from any thread while it reads on."""

    def __init__(self) -> None:
        self._items: dict[str, ItemMetadata] = {}
        self._folded: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._items)

    def get(self, item: str) -> ItemMetadata | None:
        """What is known of an item, or None."""
        return self._items.get(item)

    def title(self, item: str) -> str:
        """Its title; the id where nothing is known."""
        known = self._items.get(item)
        return known.title if known is not None else item

    def counts(self) -> dict[str, dict[str, int]]:
        """How many items there are of each genre, the most frequent first, and of each decade, by its first year."""
        genres: Counter[str] = Counter()
        decades: Counter[str] = Counter()
        for known in list(self._items.values()):
            genres.update(known.genres)
            if known.year is not None:
                decades[str(known.year // 10 * 10)] += 1
        return {"genres": dict(genres.most_common()), "decades": dict(sorted(decades.items()))}

    def put(self, said: ItemMetadata) -> None:
        """Take what is said of an item in place of what was said before."""
        self._folded[said.item] = " ".join(_WORD.findall(said.title.casefold()))
        self._items[said.item] = said

    def search(self, text: str, most: int) -> list[ItemMetadata]:
        """Items whose titles have all words of `text`, at beginnings of words; those that begin with it first.

        Equal ones by title, then id. "" finds nothing.
        """
        wanted = _WORD.findall(text.casefold())
        if not wanted:
            return []
        whole = " ".join(wanted)
        found: list[tuple[bool, str, str]] = []
        for item, folded in list(self._folded.items()):
            padded = f" {folded}"
            if all(f" {word}" in padded for word in wanted):
                found.append((not folded.startswith(whole), folded, item))
        found.sort()
        return [self._items[item] for _, _, item in found[:most]]


class ShelfReader:
    """Reads `topic` of the log that `open_log` opens into a shelf, and goes on reading, in a thread."""

    def __init__(self, open_log: Callable[[], Log], topic: str, shelf: Shelf) -> None:
        self._open_log = open_log
        self._topic = topic
        self._shelf = shelf
        self._stop = threading.Event()
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shelf", daemon=True)

    def start(self, timeout_s: float = 30.0) -> None:
        """Start, and wait until what is there has been read."""
        self._thread.start()
        self._begun.wait(timeout_s)

    def stop(self) -> None:
        """Stop."""
        self._stop.set()
        self._thread.join(10.0)

    def _run(self) -> None:
        try:
            with self._open_log() as log:
                self._read(log)
        except EngramError:
            _log.exception("titles are not read any more")
        finally:
            self._begun.set()

    def _read(self, log: Log) -> None:
        offset = 0
        while not self._stop.is_set():
            try:
                bounds = log.bounds(self._topic)[0]
            except TopicMissingError:
                bounds = None
            if bounds is not None and offset < bounds.end:
                with log.reader(self._topic, [0]) as reader:
                    reader.seek(0, max(offset, bounds.begin))
                    while reader.position(0) < bounds.end and not self._stop.is_set():
                        for batch in reader.poll(_RECORDS, 1.0):
                            self._take([value for value in batch.values if value is not None])
                    offset = reader.position(0)
            self._begun.set()
            self._stop.wait(_EVERY_S)

    def _take(self, values: list[bytes]) -> None:
        for value in values:
            # A record that cannot be read is the learner's to say.
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
                self._shelf.put(decode_item(value))
