"""Implicit alternating least squares: matrix factorisation with all items as weak negatives, solved exactly in turn.

Hu, Koren & Volinsky (2008), "Collaborative filtering for implicit feedback datasets", ICDM, with the weights and the
frequency scaling of Rendle, Krichene, Zhang & Koren (2022), "Revisiting the performance of iALS on item recommendation
benchmarks", RecSys. With S the pairs, w their weights, and n_x the sum of weights of a user's or item's pairs:

    sum_S w (w_u . h_i - 1)^2 + a sum_(all u, i) (w_u . h_i)^2
        + l (sum_u (n_u + a |items|)^v |w_u|^2 + sum_i (n_i + a |users|)^v |h_i|^2)

Given one side, each vector of the other is the solution of d linear equations; they are solved by Cholesky in blocks of
rows of about equal length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from batch_models.interactions import Interactions

# Numbers in the gathered vectors of a block: 64 MiB.
_BLOCK: Final = 1 << 24


@dataclass(frozen=True)
class IALSConfig:
    """factors: d. unobserved_weight: a. regularization: l. exponent: v. std: of a vector's length at the start."""

    factors: int = 64
    epochs: int = 8
    unobserved_weight: float = 0.3
    regularization: float = 0.003
    exponent: float = 1.0
    std: float = 0.1


class Side(NamedTuple):
    """The pairs by rows of one side.

    start: int64[rows + 1]; partner: int64[n], rows of the other side; weight: float32[n]; partners: rows that the other
    side has.
    """

    start: Tensor
    partner: Tensor
    weight: Tensor
    partners: int


class IALS:
    """User and item vectors of implicit alternating least squares: float32[users, d], float32[items, d]."""

    def __init__(self, users: int, items: int, config: IALSConfig, seed: int, device: torch.device) -> None:
        random = torch.Generator().manual_seed(seed)
        std = config.std / config.factors**0.5
        self.config = config
        self.user = (torch.randn(users, config.factors, generator=random) * std).to(device)  # [users, d]
        self.item = (torch.randn(items, config.factors, generator=random) * std).to(device)  # [items, d]

    def fit(
        self,
        data: Interactions,
        weight: NDArray[np.float32],
        epochs: int,
        after: Callable[[int], bool] = lambda _: False,
    ) -> int:
        """Solve users, then items, `epochs` times; return how many times it was done.

        weight: float32[n], of the pairs. after: told the number of epochs done; ends the fit by returning True.
        """
        device = self.user.device
        by_user = _side(data.user, data.item, weight, data.users, data.items, device)
        by_item = _side(data.item, data.user, weight, data.items, data.users, device)
        for epoch in range(1, epochs + 1):
            self.user = solve(by_user, self.item, self.config)  # [users, d]
            self.item = solve(by_item, self.user, self.config)  # [items, d]
            if after(epoch):
                return epoch
        return epochs

    def __call__(self, users: Tensor, items: Tensor) -> Tensor:
        """Score pairs. users: int64[b]; items: int64[b, m]; float32[b, m]."""
        return torch.bmm(self.item[items], self.user[users][:, :, None]).squeeze(
            -1
        )  # [b, m, d] @ [b, d, 1] -> [b, m]

    def all_items(self, users: Tensor) -> Tensor:
        """Score all items for users. users: int64[b]; float32[b, items]."""
        return self.user[users] @ self.item.T  # [b, d] @ [d, items] -> [b, items]


def solve(side: Side, other: Tensor, config: IALSConfig) -> Tensor:
    """Best vectors of one side's rows, given the other's. other: float32[partners, d]; float32[rows, d]."""
    gram = config.unobserved_weight * (other.T @ other)  # [d, d]
    found = torch.zeros(len(side.start) - 1, other.shape[1], device=other.device)  # [rows, d]
    identity = torch.eye(other.shape[1], device=other.device)  # [d, d]
    for rows, partner, weight in _blocks(side, other.shape[1]):
        vectors = other[partner]  # [b, longest, d]; weight 0 where a row is shorter
        weighted = vectors * weight[:, :, None]  # [b, longest, d]
        mass = weight.sum(1) + config.unobserved_weight * side.partners  # [b]
        penalty = config.regularization * mass.pow(config.exponent)  # [b]
        left = torch.baddbmm(gram, weighted.transpose(1, 2), vectors)  # [b, d, d]
        left += penalty[:, None, None] * identity  # [b, d, d]
        right = weighted.sum(1)  # [b, d]
        factor = torch.linalg.cholesky(left)  # [b, d, d]
        found[rows] = torch.cholesky_solve(right[:, :, None], factor).squeeze(-1)  # [b, d]
    return found


def _side(
    rows: NDArray[np.int64],
    partner: NDArray[np.int64],
    weight: NDArray[np.float32],
    count: int,
    partners: int,
    device: torch.device,
) -> Side:
    order = np.argsort(rows, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=count))])
    return Side(
        torch.from_numpy(start).to(device),
        torch.from_numpy(partner[order]).to(device),
        torch.from_numpy(weight[order]).to(device),
        partners,
    )


def _blocks(side: Side, factors: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Rows of about equal length together: int64[b], their partners int64[b, longest], weights float32[b, longest]."""
    length = side.start[1:] - side.start[:-1]  # [rows]
    order = torch.argsort(length, descending=True)  # [rows]
    place, rows = 0, len(order)
    while place < rows:
        longest = int(length[order[place]])
        if longest == 0:
            return  # the best vector of a row without pairs is 0
        size = max(1, _BLOCK // (factors * max(longest, factors)))
        block = order[place : place + size]  # [b]
        column = torch.arange(longest, device=order.device)  # [longest]
        at = side.start[block][:, None] + column  # [b, longest]
        there = column < length[block][:, None]  # [b, longest]
        at = torch.where(there, at, 0)  # [b, longest]
        yield block, side.partner[at], torch.where(there, side.weight[at], 0.0)
        place += size
