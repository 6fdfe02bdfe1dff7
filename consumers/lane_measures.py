"""All measures of one lane, and the one way in which a block of predictions changes them.

Each measure is a state of its own in `evaluation`; here they are given the same events, saved, restored and hashed
together. What can be wrong with a block is found before any of them changes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple, Self

from numpy.typing import NDArray

from consumers.drift_log import DriftLog
from consumers.hand_over_steps import StepLog
from consumers.predictions import NEW_ITEM, NEW_USER, REPEAT, PredictionBlock
from evaluation.beyond_accuracy import BeyondAccuracy
from evaluation.cold_items import ColdRanking
from evaluation.named_arrays import Arrays, hash_arrays, refill, under
from evaluation.prequential import PrequentialConfig, PrequentialRanking, describe_config
from evaluation.rating import PrequentialRating
from evaluation.significance import Comparison, SignificanceConfig
from evaluation.slices import SlicedRanking
from online_models.registry import DEFAULT_MODELS


class MeasuresConfig(NamedTuple):
    """What is kept of rankings, and how models are compared."""

    ranking: PrequentialConfig
    significance: SignificanceConfig

    def describe(self) -> dict[str, Any]:
        """Return the configuration as JSON has it."""
        return {**describe_config(self.ranking), "significance": asdict(self.significance)}


class LaneMeasures:
    """Measures of one lane.

    ranking, rating, liking, cold: models that rank the items seen, predict ratings, state a probability of like, and
    rank new items among the catalogue.
    """

    def __init__(
        self,
        config: MeasuresConfig,
        ranking: Iterable[str],
        rating: Iterable[str] = (),
        liking: Iterable[str] = (),
        cold: Iterable[str] = (),
    ) -> None:
        self.ranking = PrequentialRanking(ranking, config.ranking)
        self.rating = PrequentialRating(rating, liking)
        self.cold = ColdRanking(cold)
        self.drifts = DriftLog()
        self.steps = StepLog()
        names = self.ranking.models
        self.slices = SlicedRanking(len(names))
        self.beyond = BeyondAccuracy(names)
        self.comparison = Comparison(names, DEFAULT_MODELS, config.significance)

    @property
    def models(self) -> list[str]:
        """The models that rank, then those that rate or state likes."""
        return [*self.ranking.models, *self.rating.models]

    @property
    def events(self) -> int:
        """Events taken so far."""
        return self.ranking.events

    def update(self, block: PredictionBlock) -> None:
        """Take the next events, whose first is the next `lane_seq`.

        Raises `ValueError` for a block that is not as `PredictionBlock` says, or of other models than before.
        """
        n = len(block.flags)
        for field in ("event_time_ms", "rating", "user_seen", "item_seen", "user_hash"):
            if (found := len(getattr(block, field))) != n:
                raise ValueError(f"{field} has {found} values, expected {n}")
        new_item = (block.flags & NEW_ITEM) != 0
        self.cold.check(block.cold, new_item)
        self.beyond.check(block.top)
        self.drifts.check(block.drifts, block.first_seq, n)
        self.steps.check(block.steps, block.first_seq, n)
        clipped = self.ranking.update(
            block.ranks,
            event_time_ms=block.event_time_ms,
            repeat=(block.flags & REPEAT) != 0,
            new_item=new_item,
            new_user=(block.flags & NEW_USER) != 0,
            total_events=block.total_events,
        )
        self.drifts.update(block.drifts)
        self.steps.update(block.steps)
        counted_from = self.ranking.counted_from(block.first_seq)
        self.rating.update(block.rating, block.predicted, block.scale, counted_from, block.liked)
        # Where the last 70 % are not known, nothing is of them.
        first = n if counted_from is None else counted_from
        self.cold.update(block.cold, new_item, first)
        if self.ranking.models:
            self.slices.update(clipped, block.user_seen, block.item_seen, first)
            self.beyond.update(clipped, block.top, block.inherited + block.first_seq, first)
            self.comparison.update(clipped, block.user_hash, block.event_time_ms)

    def arrays(self) -> Arrays:
        """Return the state's arrays by name."""
        parts: dict[str, Mapping[str, NDArray[Any]]] = {
            "ranking": self.ranking.arrays(),
            "rating": self.rating.arrays(),
            "cold": self.cold.arrays(),
            "slices": self.slices.arrays(),
            "beyond": self.beyond.arrays(),
            "comparison": self.comparison.arrays(),
        }
        return {f"{part}.{name}": array for part, arrays in parts.items() for name, array in arrays.items()}

    def meta(self) -> dict[str, Any]:
        """Return the rest of the state, JSON-able."""
        return {
            "events": self.events,
            "ranking": self.ranking.meta(),
            "rating": list(self.rating.rating),
            "liking": list(self.rating.liking),
            "cold": list(self.cold.models),
            "drift": self.drifts.meta(),
            "steps": [list(step) for step in self.steps.kept],
        }

    @classmethod
    def restore(
        cls, config: MeasuresConfig, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]
    ) -> Self:
        """Return the state that `arrays()` and `meta()` gave. Raises `ValueError` if they do not fit."""
        state = cls(config, meta["ranking"]["models"], meta["rating"], meta["liking"], meta["cold"])
        state.ranking = PrequentialRanking.restore(under("ranking.", arrays), meta["ranking"])
        state.rating = PrequentialRating.restore(meta["rating"], under("rating.", arrays), meta["liking"])
        refill(state.cold.arrays(), under("cold.", arrays))
        refill(state.slices.arrays(), under("slices.", arrays))
        state.beyond.restore(under("beyond.", arrays))
        state.comparison.restore(under("comparison.", arrays))
        state.drifts.restore(meta["drift"])
        state.steps = StepLog(meta.get("steps", ()))
        return state

    def digest(self) -> str:
        """Sha256 of the whole state, the same however the stream was cut or interrupted."""
        whole = hashlib.sha256(json.dumps(self.meta(), sort_keys=True).encode())
        whole.update(hash_arrays(self.arrays()).encode())
        return whole.hexdigest()
