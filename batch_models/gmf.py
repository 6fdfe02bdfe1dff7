"""Generalised matrix factorisation: a dot product whose dimensions have learned weights.

He et al. (2017), "Neural collaborative filtering", WWW, section 3.2: logit = h . (p_u * q_i) + b.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from batch_models.pair_model import EMBEDDING_STD, FactorModel, dense, embedding


@dataclass(frozen=True)
class GMFConfig:
    """factors: length of the vectors, at least 1. std: of the normal numbers that vectors begin with."""

    factors: int = 64
    std: float = EMBEDDING_STD


class GMF(FactorModel):
    """Generalised matrix factorisation of `users` x `items`."""

    def __init__(self, users: int, items: int, config: GMFConfig, seed: int) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(seed)
        self.users, self.items, self.config = users, items, config
        self.user = embedding(users, config.factors, random, config.std)  # [users, d]
        self.item = embedding(items, config.factors, random, config.std)  # [items, d]
        self.output: nn.Linear = dense(config.factors, 1, random)  # [1, d]

    def products(self, users: Tensor, items: Tensor) -> Tensor:
        """Element-wise products of pairs. users: int64[b]; items: int64[b] or [b, m]; float[b(, m), d]."""
        of_users = self.user[users]  # [b, d]
        if items.dim() == 2:
            of_users = of_users[:, None]  # [b, 1, d]
        return of_users * self.item[items]  # [b(, m), d]

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """See `PairModel.forward`."""
        return self.output(self.products(users, items)).squeeze(-1)  # [b(, m)]

    def factors(self) -> tuple[Tensor, Tensor]:
        """See `FactorModel.factors`; the output's weights go to the users, its bias is the constant."""
        return self.user * self.output.weight[0], self.item  # [users, d], [items, d]
