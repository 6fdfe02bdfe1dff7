"""Protocol P on real data: the figures that others have published, on the same events.

The expected popularity figures are of `takuti/stream-recommender` (.10538 and .08454, within the rounding of their
tie rule) and of independent brute-force computations in each form; they check the harness, not a model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engram.inline import run_inline
from engram.settings import Settings

pytestmark = pytest.mark.data


def recall_at_10(data_dir: Path, folder: Path, dataset: str, **settings: Any) -> float:
    """Last-70 % Recall@10 of the one model of a replay."""
    result = run_inline(Settings(dataset=dataset, data_dir=str(data_dir), **settings), folder)
    [model] = result["models"].values()
    return float(model["last_70"]["recall@10"])


@pytest.mark.parametrize(
    ("dataset", "min_rating", "tie_order", "ties", "expected"),
    [
        ("ml-100k", 5.0, "hash", "against", 0.10471),
        ("ml-1m", 5.0, "hash", "against", 0.08445),
        ("ml-100k", 5.0, "file", "against", 0.10464),
        ("ml-1m", 5.0, "file", "against", 0.08432),
        ("ml-100k", 5.0, "file", "for", 0.10592),
        ("ml-1m", 5.0, "file", "for", 0.08447),
    ],
)
def test_popularity_equals_the_literature(
    data_dir: Path,
    tmp_path: Path,
    dataset: str,
    min_rating: float,
    tie_order: str,
    ties: str,
    expected: float,
) -> None:
    found = recall_at_10(
        data_dir,
        tmp_path,
        dataset,
        min_rating=min_rating,
        tie_order=tie_order,
        ties=ties,
        models=("popularity",),
    )
    assert round(found, 5) == expected


@pytest.mark.parametrize(
    ("dataset", "min_rating", "expected"), [("ml-100k", None, 0.0772), ("ml-1m", 4.0, 0.0581)]
)
def test_popularity_on_more_events(
    data_dir: Path, tmp_path: Path, dataset: str, min_rating: float | None, expected: float
) -> None:
    found = recall_at_10(data_dir, tmp_path, dataset, min_rating=min_rating, models=("popularity",))
    assert round(found, 4) == expected


@pytest.mark.parametrize(("dataset", "least"), [("ml-100k", 0.17), ("ml-1m", 0.205)])
def test_hebbian_is_twice_as_good_as_popularity(
    data_dir: Path, tmp_path: Path, dataset: str, least: float
) -> None:
    assert recall_at_10(data_dir, tmp_path, dataset, min_rating=5.0, models=("hebbian",)) >= least


def test_no_default_model_is_below_the_floor_it_is_compared_with(data_dir: Path, tmp_path: Path) -> None:
    """The best default model beats popularity and decayed popularity."""
    settings = Settings(dataset="ml-100k", data_dir=str(data_dir), min_rating=5.0)
    models = run_inline(settings, tmp_path)["models"]
    recall = {name: model["last_70"]["recall@10"] for name, model in models.items()}
    assert recall["blend"] > recall["hebbian"] > max(recall["popularity"], recall["decayed_popularity"])


# takuti/stream-recommender: 40 factors, learning rate 0.002 (times 2, the derivative of the square), regularisation
# 0.01, first vectors of deviation 0.1; fitted to the first 20 % for so many epochs.
PUBLISHED_ISGD = ("isgd.factors=40", "isgd.rate=0.004", "isgd.regularization=0.01", "isgd.deviation=0.1")


@pytest.mark.parametrize(
    ("dataset", "events", "epochs", "published"),
    [("ml-100k", 4_240, 30, (0.02318, 0.0237)), ("ml-1m", 45_262, 10, (0.01249,))],
)
def test_isgd_equals_the_literature(
    data_dir: Path, tmp_path: Path, dataset: str, events: int, epochs: int, published: tuple[float, ...]
) -> None:
    found = recall_at_10(
        data_dir,
        tmp_path,
        dataset,
        min_rating=5.0,
        tie_order="file",
        models=("isgd",),
        params=(*PUBLISHED_ISGD, f"isgd.fit_events={events}", f"isgd.fit_epochs={epochs}"),
    )
    for one in published:
        assert found == pytest.approx(one, abs=0.005)
