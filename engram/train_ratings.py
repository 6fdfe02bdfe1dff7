"""Ratings predicted by batch models, cut by time: the data as arrays, the runs, and their table beside River's."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from consumers.versions import versions
from engram.figures_table import size
from engram.train_runs import Kept, Rows, interval, train_runs
from eventlog.errors import SettingsError
from producers.columns import RatingColumns
from producers.time_split import cut_by_time

if TYPE_CHECKING:
    from batch_models.leave_one_out import Told
    from batch_models.rating_split import RatingPart, RatingSplit

SCHEMA_VERSION: Final = 1
MEAN, RIVER = "mean", "River BiasedMF"
_SHOWN: Final = ("rmse", "mae", "known_rmse", "known_mae")
COLUMNS: Final = ("model", "RMSE", "MAE", "RMSE, both known", "MAE, both known", "parameters", "train s")


def split_of(columns: RatingColumns, scale: tuple[float, float]) -> RatingSplit:
    """Make arrays of the test and, of its training, of the part that epochs are chosen on, with the same rows."""
    from batch_models.rating_split import RatingPart, RatingSplit

    rows = Rows(np.unique(columns.users), np.unique(columns.items))

    def part(of: RatingColumns) -> RatingPart:
        return RatingPart(*(rows.interactions(side) for side in cut_by_time(of)))

    return RatingSplit(part(cut_by_time(columns)[0]), part(columns), scale)


def train_ratings(
    names: Sequence[str],
    params: Sequence[str],
    columns: RatingColumns,
    scale: tuple[float, float],
    seeds: Sequence[int],
    device_name: str,
    threads: int | None,
    told: Told,
    done: Callable[[dict[str, Any]], None],
    kept: Kept,
) -> dict[str, Any]:
    """Choose, refit and test each model with each seed; see `train_runs`. columns: in replay order, with ratings.

    Beside them, under `peers`, training's mean, and River's BiasedMF where it is installed. Raises `SettingsError` for
    data without ratings.
    """
    from batch_models.rating_split import run

    if np.isnan(columns.ratings).any():
        raise SettingsError("data has events without a rating, expected a rating for each")
    split = split_of(columns, scale)
    result: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "protocol": "ratings of the newest fifth, chosen on the newest fifth of training",
        "train_events": split.test.train.size,
        "test_events": split.test.test.size,
        "data_digest": split.test.train.digest(),
        "versions": versions(),
        "peers": _peers(split.test, scale),
    }

    def run_one(name: str, of: Any, seed: int, device: Any, folder: Path) -> dict[str, Any]:
        return run(name, of, split, seed, device, told, folder)[0]

    return train_runs(names, params, seeds, device_name, threads, run_one, result, done, kept, rated=True)


def _peers(part: RatingPart, scale: tuple[float, float]) -> dict[str, dict[str, float]]:
    """Figures of training's mean, and of River's BiasedMF with its documentation's parameters, which learns training once."""
    from batch_models.rating_split import errors

    train, test = part
    mean = float(train.rating.mean(dtype=np.float64))
    found = {MEAN: errors(np.full(test.size, mean), part)}
    if importlib.util.find_spec("river") is not None:
        from river import optim, reco

        from online_models.river_biased_mf import RiverBiasedMF

        ours = RiverBiasedMF()
        model = ours.build(reco, optim, ours.initializer(optim))
        for user, item, rating in zip(
            train.user.tolist(), train.item.tolist(), train.rating.tolist(), strict=True
        ):
            model.learn_one(user, item, rating)
        said = [
            model.predict_one(user, item)
            for user, item in zip(test.user.tolist(), test.item.tolist(), strict=True)
        ]
        found[RIVER] = errors(np.clip(np.array(said, np.float64), *scale), part)
    return found


def table_rows(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """A row of texts a model and a peer, best RMSE first."""
    runs = {name: found for name, found in result["models"].items() if found}
    rows = [
        (
            float(np.mean([one["figures"]["rmse"] for one in found])),
            (
                name,
                *(interval([one["figures"][shown] for one in found]) for shown in _SHOWN),
                size(found[0]["bytes"]),
                f"{np.mean([one['train_seconds'] for one in found]):.0f}",
            ),
        )
        for name, found in runs.items()
    ]
    rows += [
        (figures["rmse"], (name, *(interval([figures[shown]]) for shown in _SHOWN), "-", "-"))
        for name, figures in result["peers"].items()
    ]
    return [row for _, row in sorted(rows)]
