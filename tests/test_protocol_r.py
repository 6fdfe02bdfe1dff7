"""Protocol R on real data: River's BiasedMF, unchanged, gives what River's own documentation says of it.

That is RMSE .9479 and MAE .7486 over all ratings of MovieLens 100K in the order of their times, predictions clipped
to the scale. Ratings of equal times stand there in an order of River's own copy; ours moves the figures a little.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engram.inline import run_inline
from engram.settings import Settings

pytestmark = pytest.mark.data


@pytest.mark.parametrize(("tie_order", "within"), [("file", 0.0005), ("hash", 0.001)])
def test_river_biased_mf_equals_its_documentation(
    data_dir: Path, tmp_path: Path, tie_order: Any, within: float
) -> None:
    settings = Settings(
        dataset="ml-100k",
        data_dir=str(data_dir),
        tie_order=tie_order,
        models=("river_biased_mf", "rating_means", "rating_mean"),
    )
    result = run_inline(settings, tmp_path)
    assert result["settings"]["rating_scale"] == [1.0, 5.0]
    found = {name: model["rating"] for name, model in result["models"].items()}
    assert found["river_biased_mf"]["rmse"] == pytest.approx(0.9479, abs=within)
    assert found["river_biased_mf"]["mae"] == pytest.approx(0.7486, abs=within)
    rmse = [found[name]["rmse"] for name in ("river_biased_mf", "rating_means", "rating_mean")]
    assert rmse == sorted(rmse)


def test_the_mean_of_all_ratings_by_hand(data_dir: Path, tmp_path: Path) -> None:
    """The floor, once more in a few lines: the running mean, from the middle of the scale on."""
    settings = Settings(
        dataset="ml-100k", data_dir=str(data_dir), limit=2_000, tie_order="file", models=("rating_mean",)
    )
    lines = (data_dir / "ml-100k" / "u.data").read_text("utf-8").splitlines()
    rows = sorted((line.split("\t") for line in lines), key=lambda row: int(row[3]))
    total, squared = 0.0, 0.0
    for count, row in enumerate(rows[:2_000]):
        rating = float(row[2])
        squared += ((total / count if count else 3.0) - rating) ** 2
        total += rating
    [model] = run_inline(settings, tmp_path)["models"].values()
    assert model["rating"]["rmse"] == pytest.approx((squared / 2_000) ** 0.5)
    assert model["all"] is None
