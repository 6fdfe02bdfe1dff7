"""The popularity floor: a model that knows nothing of a user, which any model worth running is above."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

FLOORS: Final = ("popularity", "decayed_popularity")
MEASURE: Final = "recall@10"


def floor_of(models: Mapping[str, Mapping[str, Any]], defaults: Sequence[str]) -> dict[str, Any] | None:
    """Compare the best model of a run with the floors in it; None where the run has no such pair.

    models: {name: {"all": figures or None, "last_70": figures or None}}, as in result.json. defaults: the models that
    a run has when it names none; the best of them is compared, or the best of all where the run has none of them.
    Returns {"measure", "span" ("last_70", else "all"), "model", "value", "floors": {name: value}, "below": [floors
    that are strictly above the model]}.
    """
    span = "last_70" if any(model["last_70"] for model in models.values()) else "all"
    values = {name: float(model[span][MEASURE]) for name, model in models.items() if model[span]}
    floors = {name: values.pop(name) for name in FLOORS if name in values}
    compared = {name: value for name, value in values.items() if name in defaults} or values
    if not floors or not compared:
        return None
    best = min(compared, key=lambda name: (-compared[name], name))
    return {
        "measure": MEASURE,
        "span": span,
        "model": best,
        "value": compared[best],
        "floors": floors,
        "below": sorted(name for name, value in floors.items() if compared[best] < value),
    }
