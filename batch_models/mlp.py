"""A tower of dense layers over the concatenated vectors of user and item.

He et al. (2017), "Neural collaborative filtering", WWW, section 3.3: each layer is half as wide as the one before. The
first layer of [p_u; q_i] is the sum of a part of the user and a part of the item; both are computed once a batch for
each row of the tables where a batch has more pairs than the tables have rows, which changes nothing but the time.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812, the field's name for it
from torch import Tensor, nn

from batch_models.pair_model import EMBEDDING_STD, PairModel, dense, embedding


@dataclass(frozen=True)
class MLPConfig:
    """layers: widths from the concatenated vectors (even) to the last hidden layer, two or more.

    (64, 32, 16, 8) is the paper's tower for 8 predictive factors; (128, 64, 32, 16, 8) halves from 64-dim vectors.
    dropout: in [0, 1). std: of the normal numbers that vectors begin with.
    """

    layers: tuple[int, ...] = (64, 32, 16, 8)
    dropout: float = 0.0
    std: float = EMBEDDING_STD


class Tower(nn.Module):
    """Vectors of users and items, and dense layers with ReLU over them."""

    def __init__(self, users: int, items: int, config: MLPConfig, random: torch.Generator) -> None:
        super().__init__()
        first, *rest = config.layers
        if first % 2 or not rest:
            raise ValueError(
                f"layers is {config.layers}, expected an even width and one or more layers after it"
            )
        self.rows = users + items
        self.half = first // 2
        self.dropout = config.dropout
        self.user = embedding(users, self.half, random, config.std)  # [users, l0 / 2]
        self.item = embedding(items, self.half, random, config.std)  # [items, l0 / 2]
        self.layers = nn.ModuleList(
            dense(width, after, random) for width, after in zip(config.layers, rest, strict=False)
        )

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Last hidden layer of pairs. users: int64[b]; items: int64[b] or [b, m]; float[b(, m), l_last]."""
        first = self.layers[0]
        of_user, of_item = first.weight[:, : self.half], first.weight[:, self.half :]  # [l1, l0 / 2] each
        if items.numel() > self.rows:
            user_part = F.embedding(users, F.linear(self.user, of_user))  # [users, l1] -> [b, l1]
            item_part = F.embedding(
                items, F.linear(self.item, of_item, first.bias)
            )  # [items, l1] -> [b(, m), l1]
        else:
            user_part = F.linear(F.embedding(users, self.user), of_user)  # [b, l1]
            item_part = F.linear(F.embedding(items, self.item), of_item, first.bias)  # [b(, m), l1]
        if items.dim() == 2:
            user_part = user_part[:, None]  # [b, 1, l1]
        hidden = torch.relu(user_part + item_part)  # [b(, m), l1]
        for layer in list(self.layers)[1:]:
            hidden = F.dropout(hidden, self.dropout, self.training)  # [b(, m), l_k]
            hidden = torch.relu(layer(hidden))  # [b(, m), l_k+1]
        return hidden


class MLP(PairModel):
    """Multi-layer perceptron of `users` x `items`."""

    def __init__(self, users: int, items: int, config: MLPConfig, seed: int) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(seed)
        self.users, self.items, self.config = users, items, config
        self.tower = Tower(users, items, config, random)
        self.output: nn.Linear = dense(config.layers[-1], 1, random)  # [1, l_last]

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """See `PairModel.forward`."""
        return self.output(self.tower(users, items)).squeeze(-1)  # [b(, m)]
