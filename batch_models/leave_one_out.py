"""The leave-one-out protocol for batch models: choose by validation, refit on everything, test once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from batch_models.interactions import Interactions
from batch_models.questions import Questions, Scorer, ask, ask_all
from batch_models.recipes import Fitted, Work, fit_recipe
from batch_models.settings_of import described
from batch_models.trainer import Epoch

# Model, what it is done for ("choose" or "refit"), stage, epoch.
Told = Callable[[str, str, str, Epoch], None]


class Protocol(NamedTuple):
    """Training without each user's last event and the questions about these, then all of training and the test's.

    content: float32[items, f], what is known of items, see `content_features`; f may be 0.
    """

    chosen_on: Interactions
    validation: Questions
    train: Interactions
    test: Questions
    content: NDArray[np.float32]


def run(
    name: str,
    settings: Any,
    data: Protocol,
    seed: int,
    device: torch.device,
    told: Told = lambda _model, _phase, _stage, _epoch: None,
    folder: Path | None = None,
) -> tuple[dict[str, Any], Fitted]:
    """Fit a model by the protocol; return its figures, JSON-able, and the model that was tested.

    folder: keeps fits after each epoch, see `Work`.
    """
    items = data.train.items

    def validate(scorer: Scorer) -> float:
        return ask(scorer, data.validation, items, device)["ndcg@10"]

    started = time.perf_counter()
    first = fit_recipe(
        name,
        settings,
        Work(
            data.chosen_on,
            data.content,
            seed,
            device,
            validate,
            told=lambda stage, epoch: told(name, "choose", stage, epoch),
            folder=folder and folder / "choose",
        ),
    )
    validated = ask(first.scorer, data.validation, items, device)
    choose_s = time.perf_counter() - started
    started = time.perf_counter()
    final = fit_recipe(
        name,
        settings,
        Work(
            data.train,
            data.content,
            seed,
            device,
            fixed=first.epochs,
            told=lambda stage, epoch: told(name, "refit", stage, epoch),
            folder=folder and folder / "refit",
        ),
    )
    refit_s = time.perf_counter() - started
    sampled, all_items = ask_all(final.scorer, data.test, data.train, device)
    return {
        "sampled": sampled,
        "all_items": all_items,
        "validation": validated,
        "epochs": final.epochs,
        "choose_seconds": choose_s,
        "refit_seconds": refit_s,
        "train_seconds": final.seconds,
        "samples_per_second": final.samples / final.seconds if final.seconds else None,
        "bytes": final.bytes,
        "settings": described(settings),
        "seed": seed,
        "curves": {"choose": curves_of(first.curves), "refit": curves_of(final.curves)},
    }, final


def curves_of(curves: Mapping[str, list[Epoch]], measure: str = "ndcg@10") -> dict[str, list[dict[str, Any]]]:
    """Epochs of stages, JSON-able. measure: what validation is called."""
    return {
        stage: [
            {
                "epoch": epoch.number,
                "loss": None if epoch.loss != epoch.loss else epoch.loss,
                "seconds": epoch.seconds,
                measure: epoch.validation,
            }
            for epoch in epochs
        ]
        for stage, epochs in curves.items()
    }
