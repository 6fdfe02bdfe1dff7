"""The items topic, read into the catalogues of lanes.

What is known of items changes the models' answers, so it is taken at places that a restart repeats: before a lane's
first event, and at each commit, just before the checkpoint. The next offset is part of the checkpoint.
"""

from __future__ import annotations

import logging
from typing import Final

import msgspec

from consumers.lane_rows import LaneRows
from eventlog.errors import TopicMissingError
from eventlog.log import Log
from eventlog.metadata import ItemMetadata, decode_item, first_tags
from online_models.catalogue import ItemFacts

_PARTITION: Final = 0  # the topic has one
_RECORDS_A_POLL: Final = 4096
_WAIT_S: Final = 1.0
_log = logging.getLogger(__name__)


class CatalogueReader:
    """Reads `topic` of `log` for any number of lanes, each from where it stands. A missing topic holds nothing."""

    def __init__(self, log: Log, topic: str) -> None:
        self._log = log
        self._topic = topic
        self.rejected = 0

    def read(self, rows: LaneRows) -> None:
        """Bring a lane's catalogue up to the end of the topic."""
        try:
            bounds = self._log.bounds(self._topic)[_PARTITION]
        except TopicMissingError:
            return
        if rows.next_item_offset >= bounds.end:
            return
        with self._log.reader(self._topic, [_PARTITION]) as reader:
            # A compacted topic may have dropped what was there; what it holds now says it all anew.
            reader.seek(_PARTITION, max(rows.next_item_offset, bounds.begin))
            while reader.position(_PARTITION) < bounds.end:
                for batch in reader.poll(_RECORDS_A_POLL, _WAIT_S):
                    facts = [self._decode(value) for value in batch.values if value is not None]
                    rows.catalogue.add([fact for fact in facts if fact is not None], rows.items)
            rows.next_item_offset = reader.position(_PARTITION)

    def _decode(self, value: bytes) -> ItemFacts | None:
        """One record; None, with a warning, for one that cannot be read: an item without metadata is no error."""
        try:
            said = decode_item(value)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self.rejected += 1
            _log.warning("a record of %s is left out: %s", self._topic, error)
            return None
        return facts_of(said)


def facts_of(said: ItemMetadata) -> ItemFacts:
    """What a lane's catalogue takes of an item's metadata."""
    tags = [(tag.event_time_ms, tag.text) for tag in first_tags(said.tags)]
    return ItemFacts(said.item, said.genres, said.year, said.language, tags)
