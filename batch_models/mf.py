"""Matrix factorisation by dot products with biases.

Rendle, Krichene, Zhang & Anderson (2020), "Neural collaborative filtering vs. matrix factorization revisited", RecSys:
logit = b + b_u + b_i + p_u . q_i. Their loss is logistic with 8 negatives a positive (`mf.fit.loss=bce` and
`mf.fit.negatives=8`); a softmax over all items gets there in fewer epochs and is what is shipped.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from batch_models.pair_model import FactorModel, embedding


@dataclass(frozen=True)
class MFConfig:
    """factors: length of the vectors, at least 1. std: of the normal numbers that vectors begin with."""

    factors: int = 64
    std: float = 0.1


class MF(FactorModel):
    """Matrix factorisation of `users` x `items`."""

    def __init__(self, users: int, items: int, config: MFConfig, seed: int) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(seed)
        self.users, self.items, self.config = users, items, config
        self.user = embedding(users, config.factors, random, config.std)  # [users, d]
        self.item = embedding(items, config.factors, random, config.std)  # [items, d]
        self.user_bias = nn.Parameter(torch.zeros(users))  # [users]
        self.item_bias = nn.Parameter(torch.zeros(items))  # [items]
        self.bias = nn.Parameter(torch.zeros(()))  # []

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """See `PairModel.forward`."""
        of_users, bias = self.user[users], self.user_bias[users]  # [b, d], [b]
        if items.dim() == 2:
            of_users, bias = of_users[:, None], bias[:, None]  # [b, 1, d], [b, 1]
        return (of_users * self.item[items]).sum(-1) + bias + self.item_bias[items] + self.bias  # [b(, m)]

    def factors(self) -> tuple[Tensor, Tensor]:
        """See `FactorModel.factors`; biases are one more dimension."""
        ones = torch.ones_like(self.user_bias)[:, None]  # [users, 1]
        return torch.cat((self.user, ones), 1), torch.cat((self.item, self.item_bias[:, None]), 1)

    def all_items(self, users: Tensor) -> Tensor:
        """See `PairModel.all_items`; a matrix product."""
        bias = self.user_bias[users][:, None] + self.item_bias + self.bias  # [b, items]
        return torch.addmm(bias, self.user[users], self.item.T)  # [b, d] @ [d, items] -> [b, items]
