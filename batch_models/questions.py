"""Leave-one-out questions put to a batch model: where the item left out stands among others."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from batch_models.interactions import Interactions
from evaluation.leave_one_out import above_among, above_among_all, leave_one_out_figures

# Numbers in the scores of a block of users: 64 MiB.
_BLOCK = 1 << 24


class Scorer(Protocol):
    """What can be asked: a torch model in evaluation mode, or anything else that scores pairs."""

    def __call__(self, users: Tensor, items: Tensor) -> Tensor:
        """Score pairs. users: int64[b]; items: int64[b, m]; float[b, m]."""

    def all_items(self, users: Tensor) -> Tensor:
        """Score all items. users: int64[b]; float[b, items]."""


class Questions(NamedTuple):
    """q questions, of each a user, the item left out, and the c items among which it is to be found.

    user, target: int64[q]. negatives: int64[q, c].
    """

    user: NDArray[np.int64]
    target: NDArray[np.int64]
    negatives: NDArray[np.int64]


def ask(scorer: Scorer, questions: Questions, items: int, device: torch.device) -> dict[str, float]:
    """Figures among each question's own negatives, see `leave_one_out_figures`. items: how many there are."""
    above = np.empty(len(questions.user), np.int64)
    row = np.full(items, -np.inf)
    asked = np.concatenate((questions.target[:, None], questions.negatives), 1)  # [q, 1 + c]
    size = max(1, _BLOCK // (64 * asked.shape[1]))
    with torch.inference_mode():
        for first in range(0, len(above), size):
            block = asked[first : first + size]
            users = torch.from_numpy(questions.user[first : first + size]).to(device)  # [b]
            found = scorer(users, torch.from_numpy(block).to(device))  # [b, 1 + c]
            scores = found.double().cpu().numpy()
            for place, candidates in enumerate(block, first):
                row[candidates] = scores[place - first]
                above[place] = above_among(row, int(candidates[0]), candidates[1:].astype(np.int32))
    return leave_one_out_figures(above)


def ask_all(
    scorer: Scorer, questions: Questions, data: Interactions, device: torch.device
) -> tuple[dict[str, float], dict[str, float]]:
    """Figures among each question's negatives, and among all items that the user has not had in `data`."""
    order = np.argsort(data.user, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(data.user, minlength=data.users))])
    had = data.item[order].astype(np.int32)
    sampled = np.empty(len(questions.user), np.int64)
    among_all = np.empty(len(questions.user), np.int64)
    size = max(1, _BLOCK // (16 * data.items))
    with torch.inference_mode():
        for first in range(0, len(sampled), size):
            users = questions.user[first : first + size]
            found = scorer.all_items(torch.from_numpy(users).to(device))  # [b, items]
            for place, scores in enumerate(found.double().cpu().numpy(), first):
                target, user = int(questions.target[place]), users[place - first]
                sampled[place] = above_among(scores, target, questions.negatives[place].astype(np.int32))
                among_all[place] = above_among_all(scores, target, had[start[user] : start[user + 1]])
    return leave_one_out_figures(sampled), leave_one_out_figures(among_all)
