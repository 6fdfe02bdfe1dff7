"""The bits that our `wisard` sees of each event, for peers that are to learn from the same."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from consumers.lane import Lane
from consumers.lane_config import LaneConfig
from engram.lane_events import events_of
from eventlog.events import Kind
from eventlog.metadata import ItemMetadata
from online_models.catalogue import ItemFacts
from online_models.interactions import Histories, Interactions, Predictions
from online_models.model import Situation
from online_models.rating_synapses import RatingSynapses
from online_models.retina import BITS, adapt, no_thermometers, see
from producers.columns import RatingColumns

_BLOCK = 4096


class _Recorder(RatingSynapses):
    """Reads the same signals as `wisard` does, and keeps the bits that its retina makes of them."""

    name: ClassVar[str] = "retina"

    def __init__(self, situation: Situation) -> None:
        super().__init__(None, situation)
        self._thermometers = no_thermometers()
        self.bits: list[NDArray[np.uint8]] = []

    def test_then_learn(self, events: Interactions, histories: Histories, out: Predictions) -> None:
        numbers = self.read(events, histories)
        seen = np.zeros((len(numbers), len(BITS)), np.uint8)
        one = np.zeros(len(BITS), np.int64)
        catalogue = histories.catalogue
        for at, item in enumerate(events.item.tolist()):
            entry = catalogue.entry[item]
            see(self._thermometers, numbers[at], catalogue.genres[entry], int(catalogue.language[entry]), one)
            seen[at] = one
            adapt(self._thermometers, numbers[at])
        self.bits.append(seen)


def retina_bits(
    columns: RatingColumns, items: list[ItemMetadata], scale: tuple[float, float]
) -> NDArray[np.uint8]:
    """Return uint8[n, bits], each row as it was before its event. columns: in replay order."""
    lane = Lane(0, (0,), 1, LaneConfig(("rating_means",), {}, scale=scale))
    recorder = _Recorder(Situation(scale=scale))
    lane.models["retina"] = recorder
    lane.rows.catalogue.add(
        [ItemFacts(item.item, item.genres, item.year, item.language) for item in items], lane.rows.items
    )
    lane.kernel_seconds["retina"] = 0.0
    for first in range(0, columns.size, _BLOCK):
        lane.test_then_learn(
            events_of(columns.take(slice(first, first + _BLOCK)), first, "retina", Kind.RATING)
        )
    return np.concatenate(recorder.bits) if recorder.bits else np.zeros((0, len(BITS)), np.uint8)
