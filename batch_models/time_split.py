"""The split by time for batch models: choose epochs on the newest events of training, refit on all of it, test once."""

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
from evaluation.full_catalogue import Asked, by_item_band, by_user_band, mean_figures, ranks_of

_USERS_A_BLOCK = 256


class Part(NamedTuple):
    """What is learned, and the relevant pairs that came after: user, item: int64[n]."""

    train: Interactions
    user: NDArray[np.int64]
    item: NDArray[np.int64]


class Split(NamedTuple):
    """The two parts, with the same rows. content: float32[items, f], see `content_features`; f may be 0."""

    choose: Part
    test: Part
    content: NDArray[np.float32]


def answers(scorer: Scorer, part: Part, device: torch.device) -> list[Asked]:
    """Ask about each user of a part, among all items that the user has not had in training."""
    train = part.train
    order = np.argsort(train.user, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(train.user, minlength=train.users))])
    had = train.item[order]
    by_user = np.argsort(part.user, kind="stable")
    people, first = np.unique(part.user[by_user], return_index=True)
    relevant = np.split(part.item[by_user], first[1:])
    found = []
    with torch.inference_mode():
        for place in range(0, len(people), _USERS_A_BLOCK):
            block = people[place : place + _USERS_A_BLOCK]
            scores = scorer.all_items(torch.from_numpy(block).to(device)).double().cpu().numpy()  # [b, items]
            for row, user in enumerate(block.tolist()):
                own = had[start[user] : start[user + 1]]
                items = relevant[place + row]
                found.append(Asked(ranks_of(scores[row], own, items), items, len(own)))
    return found


def run(
    name: str,
    settings: Any,
    data: Split,
    seed: int,
    device: torch.device,
    told: Told = lambda _model, _phase, _stage, _epoch: None,
    folder: Path | None = None,
) -> tuple[dict[str, Any], Fitted]:
    """Fit a model by the protocol; return its figures, JSON-able, and the model that was tested.

    folder: keeps fits after each epoch, see `Work`.
    """

    def validate(scorer: Scorer) -> float:
        return mean_figures(answers(scorer, data.choose, device))["ndcg@10"]

    first = fit_recipe(
        name,
        settings,
        Work(
            data.choose.train,
            data.content,
            seed,
            device,
            validate,
            told=lambda stage, epoch: told(name, "choose", stage, epoch),
            folder=folder and folder / "choose",
        ),
    )
    validated = validate(first.scorer)
    final = fit_recipe(
        name,
        settings,
        Work(
            data.test.train,
            data.content,
            seed,
            device,
            fixed=first.epochs,
            told=lambda stage, epoch: told(name, "refit", stage, epoch),
            folder=folder and folder / "refit",
        ),
    )
    asked = answers(final.scorer, data.test, device)
    item_events = np.bincount(data.test.train.item, minlength=data.test.train.items)
    return {
        "figures": mean_figures(asked),
        "by_user_band": by_user_band(asked),
        "by_item_band": by_item_band(asked, item_events),
        "users": len(asked),
        "pairs": len(data.test.user),
        "validation_ndcg@10": validated,
        "epochs": final.epochs,
        "train_seconds": final.seconds,
        "bytes": final.bytes,
        "settings": described(settings),
        "seed": seed,
        "curves": {"choose": curves_of(first.curves), "refit": curves_of(final.curves)},
    }, final
