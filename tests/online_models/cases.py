"""Every model of the registry on both clocks, with parameters under which small streams reach every part of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_models.blend_batch import BlendBatchConfig
from online_models.blend_config import BlendConfig
from online_models.decayed_popularity import DecayedPopularityConfig
from online_models.hebbian import HebbianConfig
from online_models.interactions import Predictions
from online_models.isgd import ISGDNegativesConfig
from online_models.model import ClockName, Model, ModelConfig, Situation
from online_models.rating_synapses import RatingSynapsesConfig
from online_models.registry import MODELS
from online_models.river_biased_mf import RiverBiasedMFConfig
from online_models.river_funk_mf import RiverFunkMFConfig
from online_models.user_hebbian import UserHebbianConfig
from online_models.wisard import WisardConfig
from tests.online_models.event_streams import Driver, random_stream, rating_by_rows
from tests.oracles.history_oracle import Event

# Rebases, the change of layout, evictions; defaults for models that are not here.
SMALL: dict[str, Callable[[], ModelConfig]] = {
    "decayed_popularity": lambda: DecayedPopularityConfig(half_life_events=0.7, half_life_s=40),
    "hebbian": lambda: HebbianConfig(
        trace_length=5,
        half_life_events=4,
        half_life_s=240,
        slots=3,
        recall_length=4,
        recall_every=5,
        direct_neurons=12,
        row_synapses=6,
    ),
    "river_funk_mf": lambda: RiverFunkMFConfig(n_factors=3),
    "blend": lambda: BlendConfig(
        half_life_events=4,
        half_life_s=240,
        trend_half_lives_events=(0.7, 8.0),
        trend_half_lives_s=(40.0, 500.0),
        slots=3,
        recall_length=4,
        short_length=4,
        long_length=6,
        correction_length=5,
        direct_neurons=12,
        row_synapses=6,
    ),
    "blend_batch": lambda: BlendBatchConfig(
        half_life_events=4,
        half_life_s=240,
        trend_half_lives_events=(0.7, 8.0),
        trend_half_lives_s=(40.0, 500.0),
        slots=3,
        recall_length=4,
        short_length=4,
        long_length=6,
        correction_length=5,
        direct_neurons=12,
        row_synapses=6,
    ),
    "river_biased_mf": lambda: RiverBiasedMFConfig(n_factors=3),
    "user_hebbian": lambda: UserHebbianConfig(
        audience=3,
        row_synapses=4,
        recent_items=5,
        reverse=0.5,
        own_half_life_events=0.2,
        half_life_events=4,
        half_life_s=240,
    ),
    "rating_synapses": lambda: RatingSynapsesConfig(trace_length=5, reverse_length=3, row_synapses=8),
    "wisard": lambda: WisardConfig(
        nodes=6, width=3, finer_nodes=4, crowd_limit=20, trace_length=5, row_synapses=8
    ),
    "isgd_negatives": lambda: ISGDNegativesConfig(factors=3, negatives=2, fit_events=60, fit_epochs=2),
}
STREAM = random_stream(11, 300, users=25, items=40, late=0.1)
CLOCKS: tuple[ClockName, ...] = ("event_count", "event_time")


def sometimes_rated(event: Event) -> float:
    """About one event in seven, a view or a click, has no rating."""
    return float("nan") if (3 * event.user + 5 * event.item) % 7 == 0 else rating_by_rows(event)


def build(name: str, clock: ClockName, *, ties_against: bool = True, seed: int = 0) -> Model:
    config = SMALL.get(name, MODELS[name].config_type)()
    return MODELS[name](config, Situation(clock=clock, ties_against=ties_against, seed=seed))


class Case(NamedTuple):
    """One model on one clock."""

    name: str
    clock: ClockName

    def driver(
        self,
        *,
        ties_against: bool = True,
        seed: int = 0,
        rating_of: Callable[[Event], float] = sometimes_rated,
    ) -> Driver:
        model = build(self.name, self.clock, ties_against=ties_against, seed=seed)
        return Driver(model, self.clock, rating_of)


def cases(kind: Callable[[type[Model]], bool] = lambda _: True) -> list[Case]:
    """Models of a kind, all by default, on both clocks."""
    return [Case(name, clock) for name, model in MODELS.items() if kind(model) for clock in CLOCKS]


def bits(model: Model) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    return {name: (a.dtype.str, a.shape, a.tobytes()) for name, a in model.arrays().items()}


def said(out: Predictions, first: int = 0) -> list[tuple[int, str]]:
    """Rank and rating of each event from `first` on, comparable bit for bit, NaN too."""
    return [
        (rank, rating.hex())
        for rank, rating in zip(out.ranks[first:].tolist(), out.ratings[first:].tolist(), strict=True)
    ]


def had(driver: Driver, user: int) -> set[int]:
    """Items that a user has had; none for an unknown one."""
    if user < 0:
        return set()
    histories = driver.histories
    start = histories.start[user]
    items: NDArray[Any] = histories.items[start : start + histories.length[user]]
    return set(np.asarray(items).tolist())
