"""The popularity floor: which model is compared with what."""

from __future__ import annotations

from typing import Any

import pytest

from evaluation.floor import floor_of

DEFAULTS = ("popularity", "decayed_popularity", "hebbian")


def models(span: str = "last_70", **recalls: float | None) -> dict[str, dict[str, Any]]:
    other = "all" if span == "last_70" else "last_70"
    return {
        name: {span: None if recall is None else {"recall@10": recall}, other: None}
        for name, recall in recalls.items()
    }


@pytest.mark.parametrize(
    ("recalls", "best", "below"),
    [
        ({"popularity": 0.1, "hebbian": 0.2}, "hebbian", []),
        ({"popularity": 0.1, "hebbian": 0.1}, "hebbian", []),  # equal is not below
        ({"popularity": 0.1, "decayed_popularity": 0.3, "hebbian": 0.2}, "hebbian", ["decayed_popularity"]),
        (
            {"popularity": 0.4, "decayed_popularity": 0.3, "hebbian": 0.2},
            "hebbian",
            ["decayed_popularity", "popularity"],
        ),
        # A better model that is no default does not save the default one ...
        ({"popularity": 0.3, "hebbian": 0.2, "isgd": 0.9}, "hebbian", ["popularity"]),
        # ... and is compared where there is no default one.
        ({"popularity": 0.3, "isgd": 0.2, "random": 0.0}, "isgd", ["popularity"]),
        ({"popularity": 0.3, "hebbian": 0.4, "rating_mean": None}, "hebbian", []),
    ],
)
@pytest.mark.parametrize("span", ["last_70", "all"])
def test_the_best_default_model_is_compared_with_every_floor(
    span: str, recalls: dict[str, float | None], best: str, below: list[str]
) -> None:
    floor = floor_of(models(span, **recalls), DEFAULTS)
    assert floor is not None
    assert (floor["span"], floor["model"], floor["value"]) == (span, best, recalls[best])
    assert floor["below"] == below
    assert floor["floors"] == {name: value for name, value in recalls.items() if "popularity" in name}


@pytest.mark.parametrize(
    "recalls", [{}, {"popularity": 0.1}, {"hebbian": 0.1}, {"popularity": None, "hebbian": None}]
)
def test_without_a_pair_there_is_nothing_to_say(recalls: dict[str, float | None]) -> None:
    assert floor_of(models(**recalls), DEFAULTS) is None
