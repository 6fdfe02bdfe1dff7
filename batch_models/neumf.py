"""Neural matrix factorisation: GMF and MLP side by side, each with vectors of its own, under one output.

He et al. (2017), "Neural collaborative filtering", WWW, section 3.4: logit = h . [p_u * q_i; tower(u, i)] + b, started from
a trained GMF and a trained MLP with their output weights multiplied by alpha and 1 - alpha, alpha = 1/2 (eq. 13).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from batch_models.gmf import GMF, GMFConfig
from batch_models.mlp import MLP, MLPConfig
from batch_models.pair_model import PairModel


@dataclass(frozen=True)
class NeuMFConfig:
    """factors: of GMF. layers, dropout: of the tower, see `MLPConfig`. alpha: GMF's share at the start, in (0, 1)."""

    factors: int = 64
    layers: tuple[int, ...] = (64, 32, 16, 8)
    dropout: float = 0.0
    alpha: float = 0.5


class NeuMF(PairModel):
    """Neural matrix factorisation of `users` x `items`."""

    def __init__(self, users: int, items: int, config: NeuMFConfig, seed: int) -> None:
        super().__init__()
        self.users, self.items, self.config = users, items, config
        # The output over both hidden layers is the sum of an output over each.
        self.gmf = GMF(users, items, GMFConfig(config.factors), seed)
        self.mlp = MLP(users, items, MLPConfig(config.layers, config.dropout), seed + 1)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """See `PairModel.forward`."""
        return self.gmf(users, items) + self.mlp(users, items)  # [b(, m)]

    def all_items(self, users: Tensor) -> Tensor:
        """See `PairModel.all_items`; a matrix product for GMF."""
        return self.gmf.all_items(users) + self.gmf.output.bias + self.mlp.all_items(users)  # [b, items]

    def start_from(self, gmf: GMF, mlp: MLP) -> None:
        """Take over trained parts, so that the logit is alpha times GMF's plus 1 - alpha times MLP's.

        Raises `RuntimeError` for parts of other shapes.
        """
        self.gmf.load_state_dict(gmf.state_dict())
        self.mlp.load_state_dict(mlp.state_dict())
        alpha = self.config.alpha
        with torch.no_grad():
            for share, output in ((alpha, self.gmf.output), (1.0 - alpha, self.mlp.output)):
                _scale(output, share)


def _scale(output: nn.Linear, share: float) -> None:
    output.weight.mul_(share)
    output.bias.mul_(share)
