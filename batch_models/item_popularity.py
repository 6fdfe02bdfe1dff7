"""Item popularity: how many users have had an item. The floor of every table."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from batch_models.interactions import Interactions


def item_popularity(data: Interactions) -> NDArray[np.float32]:
    """Count events of each item: float32[items]."""
    return np.bincount(data.item, minlength=data.items).astype(np.float32)


class Popularity:
    """Scores an item by how many users have had it."""

    def __init__(self, data: Interactions, device: torch.device) -> None:
        self.count = torch.from_numpy(item_popularity(data)).to(device)  # [items]

    def __call__(self, users: Tensor, items: Tensor) -> Tensor:
        """See `Scorer`."""
        return self.count[items]  # [b, m]

    def all_items(self, users: Tensor) -> Tensor:
        """See `Scorer`."""
        return self.count.expand(len(users), -1)  # [b, items]
