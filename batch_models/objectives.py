"""What a model is fitted to: sampled pairs, all items for some users at once, or ratings."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812, the field's name for it
from numpy.typing import NDArray
from torch import Tensor, nn

from batch_models.interactions import Interactions
from batch_models.losses import IMPLICIT, squared_error
from batch_models.negatives import NegativeSampler
from batch_models.pair_model import PairModel

ALL: Final = slice(None)
OVER_ALL_ITEMS: Final = ("bce", "softmax")


class SampledPairs:
    """Each positive with negatives drawn anew in each epoch; rows are positives."""

    def __init__(
        self,
        data: Interactions,
        weight: NDArray[np.float32],
        loss: str,
        negatives: int,
        device: torch.device,
    ) -> None:
        self._loss = IMPLICIT[loss]
        self._sampler = NegativeSampler(data, device)
        self._negatives = negatives
        # One tensor, so that a batch is one look-up.
        self._pairs = torch.from_numpy(np.stack((data.user, data.item), 1)).to(device)  # [n, 2]
        self._weight = torch.from_numpy(weight).to(device)  # [n]

    @property
    def rows(self) -> int:
        """Number of positives."""
        return len(self._pairs)

    @property
    def samples_per_row(self) -> float:
        """A positive and its negatives."""
        return 1 + self._negatives

    def loss(self, model: nn.Module, rows: Tensor, generator: torch.Generator, share: slice = ALL) -> Tensor:
        """See `Objective.loss`."""
        users, items = self._pairs.index_select(0, rows).unbind(1)  # [b], [b]
        drawn = self._sampler.draw(users, self._negatives, generator)  # [b, m]
        asked = torch.cat((items[:, None], drawn), 1)[share]  # [s, 1 + m]
        logits = model(users[share], asked).float()  # [s, 1 + m]
        mean = self._loss(logits[:, 0], logits[:, 1:], self._weight[rows[share]])
        return mean * (len(asked) / len(rows))


class AllItems:
    """Some users against all items; rows are users. For models whose logits of all items are a matrix product.

    "bce" is the expectation of `SampledPairs`' loss over all that could be drawn: each of a user's other items weighs
    negatives x positives / other items. It has no sampling noise, and costs a matrix product. "softmax" is over all items.
    """

    def __init__(
        self,
        data: Interactions,
        weight: NDArray[np.float32],
        loss: str,
        negatives: float,
        device: torch.device,
    ) -> None:
        if loss not in OVER_ALL_ITEMS:
            raise ValueError(f"loss is {loss!r}, expected one of {', '.join(OVER_ALL_ITEMS)}")
        order = np.argsort(data.user, kind="stable")
        counts = np.bincount(data.user, minlength=data.users)
        self._is_bce = loss == "bce"
        self._items = data.items
        self._start = torch.from_numpy(np.concatenate([[0], np.cumsum(counts)])).to(device)  # [users + 1]
        self._item = torch.from_numpy(data.item[order]).to(device)  # [n]
        self._weight = torch.from_numpy(weight[order]).to(device)  # [n]
        others = np.maximum(data.items - counts, 1)
        self._negative = torch.from_numpy((negatives * counts / others).astype(np.float32)).to(
            device
        )  # [users]
        self._users = torch.from_numpy(np.flatnonzero(counts)).to(device)  # [users with positives]
        self._per_row = data.size / max(1, len(self._users))

    @property
    def rows(self) -> int:
        """Number of users with positives."""
        return len(self._users)

    @property
    def samples_per_row(self) -> float:
        """All items."""
        return float(self._items)

    def loss(self, model: nn.Module, rows: Tensor, generator: torch.Generator, share: slice = ALL) -> Tensor:
        """See `Objective.loss`; the mean is over positives, so that rates mean the same as with `SampledPairs`."""
        assert isinstance(model, PairModel)
        users = self._users[rows[share]]  # [b]
        logits = model.all_items(users).float()  # [b, items]
        first, last = self._start[users], self._start[users + 1]  # [b], [b]
        counts = last - first  # [b]
        owner = torch.repeat_interleave(torch.arange(len(users), device=users.device), counts)  # [p]
        before = counts.cumsum(0) - counts  # [b]
        place = first[owner] + torch.arange(len(owner), device=users.device) - before[owner]  # [p]
        items, weight = self._item[place], self._weight[place]  # [p], [p]
        at = owner * self._items + items  # [p]
        positive = logits.view(-1)[at]  # [p]
        if self._is_bce:
            spread = self._negative[users][:, None].repeat(1, self._items)  # [b, items]
            spread.view(-1)[at] = 0.0
            total = (weight * F.softplus(-positive)).sum() + (spread * F.softplus(logits)).sum()
        else:
            total = (weight * (torch.logsumexp(logits, 1)[owner] - positive)).sum()
        return total / (len(rows) * self._per_row)


class Ratings:
    """Ratings by mean squared error; rows are ratings, of which none may be NaN."""

    def __init__(self, data: Interactions, weight: NDArray[np.float32], device: torch.device) -> None:
        if np.isnan(data.rating).any():
            raise ValueError("rating holds NaN, expected a rating for each event")
        self._pairs = torch.from_numpy(np.stack((data.user, data.item), 1)).to(device)  # [n, 2]
        self._rating = torch.from_numpy(data.rating).to(device)  # [n]
        self._weight = torch.from_numpy(weight).to(device)  # [n]

    @property
    def rows(self) -> int:
        """Number of ratings."""
        return len(self._pairs)

    @property
    def samples_per_row(self) -> float:
        """One."""
        return 1.0

    def loss(self, model: nn.Module, rows: Tensor, generator: torch.Generator, share: slice = ALL) -> Tensor:
        """See `Objective.loss`."""
        own = rows[share]  # [s]
        users, items = self._pairs.index_select(0, own).unbind(1)  # [s], [s]
        mean = squared_error(model(users, items).float(), self._rating[own], self._weight[own])
        return mean * (len(own) / len(rows))
