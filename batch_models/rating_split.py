"""Ratings by batch models: fitted to what came before a moment, asked what was given after it.

Epochs are chosen by the same cut inside training. Ratings are centred on training's mean; predictions are clipped to the
scale. A user or an item without a rating in training has vectors of zeros, so that of a pair what is known counts: with
`mf`, the mean and the other's bias.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from batch_models.interactions import Interactions
from batch_models.leave_one_out import Told, curves_of
from batch_models.questions import Scorer
from batch_models.recipes import Fitted, Work, fit_recipe
from batch_models.settings_of import described

_PAIRS_A_BLOCK = 1 << 16
RMSE = "rmse"


class RatingPart(NamedTuple):
    """What is learned, and what is asked. test: ratings to be predicted, of the same users and items."""

    train: Interactions
    test: Interactions


class RatingSplit(NamedTuple):
    """choose: of the test's training. scale: least and greatest rating."""

    choose: RatingPart
    test: RatingPart
    scale: tuple[float, float]


def predicted(
    scorer: Scorer, test: Interactions, mean: float, scale: tuple[float, float], device: torch.device
) -> NDArray[np.float64]:
    """Predict the ratings of events: float64[n], within the scale. mean: what the model's ratings are centred on."""
    out = np.empty(test.size)
    with torch.inference_mode():
        for first in range(0, test.size, _PAIRS_A_BLOCK):
            rows = slice(first, first + _PAIRS_A_BLOCK)
            users = torch.from_numpy(test.user[rows]).to(device)  # [b]
            items = torch.from_numpy(test.item[rows]).to(device)  # [b]
            out[rows] = scorer(users, items[:, None])[:, 0].double().cpu().numpy()
    return np.clip(out + mean, *scale)


def errors(found: NDArray[np.float64], part: RatingPart) -> dict[str, float]:
    """RMSE and MAE of all of the test, and of the ratings whose user and item have one in training ("known")."""
    wrong = found - part.test.rating.astype(np.float64)
    known = np.isin(part.test.user, part.train.user) & np.isin(part.test.item, part.train.item)
    figures = {"ratings": float(len(wrong)), "known_ratings": float(known.sum())}
    for name, of in (("", wrong), ("known_", wrong[known])):
        figures[f"{name}rmse"] = float(np.sqrt(np.mean(of**2))) if len(of) else 0.0
        figures[f"{name}mae"] = float(np.mean(np.abs(of))) if len(of) else 0.0
    return figures


def run(
    name: str,
    settings: Any,
    data: RatingSplit,
    seed: int,
    device: torch.device,
    told: Told = lambda _model, _phase, _stage, _epoch: None,
    folder: Path | None = None,
) -> tuple[dict[str, Any], Fitted]:
    """Fit a model by the protocol; return its figures, JSON-able, and the model that was tested.

    settings: with loss "mse" in all stages. folder: keeps fits after each epoch, see `Work`.
    """

    def ask(scorer: Scorer, part: RatingPart) -> dict[str, float]:
        mean = float(part.train.rating.mean(dtype=np.float64))
        return errors(predicted(scorer, part.test, mean, data.scale, device), part)

    def work(part: RatingPart, phase: str, **more: Any) -> Work:
        train = part.train
        centred = train._replace(rating=train.rating - np.float32(train.rating.mean(dtype=np.float64)))
        return Work(
            centred,
            np.zeros((train.items, 0), np.float32),
            seed,
            device,
            told=lambda stage, epoch: told(name, phase, stage, epoch),
            folder=folder and folder / phase,
            **more,
        )

    choosing = work(data.choose, "choose", validate=lambda scorer: -ask(scorer, data.choose)[RMSE])
    first = fit_recipe(name, settings, choosing)
    final = fit_recipe(name, settings, work(data.test, "refit", fixed=first.epochs))
    return {
        "figures": ask(final.scorer, data.test),
        "validation": ask(first.scorer, data.choose),
        "epochs": final.epochs,
        "train_seconds": final.seconds,
        "bytes": final.bytes,
        "settings": described(settings),
        "seed": seed,
        "curves": {
            "choose": curves_of(first.curves, f"-{RMSE}"),
            "refit": curves_of(final.curves, f"-{RMSE}"),
        },
    }, final
