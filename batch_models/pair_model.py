"""What every torch model of pairs has: logits of pairs, and of all items for some users."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# He et al. (2017), section 4.1, begin with .01; from .1 Adam needs a third of the epochs.
EMBEDDING_STD = 0.1


class PairModel(nn.Module):
    """Logits of pairs of a user and an item: the larger, the likelier."""

    users: int
    items: int

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """Score pairs. users: int64[b]; items: int64[b] or int64[b, m]; float of the shape of `items`."""
        raise NotImplementedError

    def all_items(self, users: Tensor) -> Tensor:
        """Score all items for users. users: int64[b]; float[b, items]."""
        everything = torch.arange(self.items, device=users.device).expand(len(users), -1)  # [b, items]
        return self(users, everything)


class FactorModel(PairModel):
    """A pair model whose logits are dot products: those of all items are one matrix product."""

    def factors(self) -> tuple[Tensor, Tensor]:
        """Vectors whose dot products are the logits, but for a constant: float[users, d], float[items, d]."""
        raise NotImplementedError

    def all_items(self, users: Tensor) -> Tensor:
        """See `PairModel.all_items`; a matrix product."""
        of_users, of_items = self.factors()
        return of_users[users] @ of_items.T  # [b, d] @ [d, items] -> [b, items]


def embedding(rows: int, width: int, generator: torch.Generator, std: float = EMBEDDING_STD) -> nn.Parameter:
    """Make a table of normal numbers around 0: float32[rows, width]."""
    return nn.Parameter(torch.randn(rows, width, generator=generator) * std)


def dense(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """Make a dense layer: Glorot-uniform weights, zero biases, as Keras' default."""
    layer = nn.Linear(inputs, outputs)
    bound = (6.0 / (inputs + outputs)) ** 0.5
    with torch.no_grad():
        layer.weight.copy_((torch.rand(outputs, inputs, generator=generator) * 2 - 1) * bound)
        layer.bias.zero_()
    return layer
