"""Items that are like what the user had, by content alone: no other user is asked.

    score(u, c) = q_c . sum_k 2^(-k / half_life_events) q_(y_k)        y_0: the user's last event, y_1 the one before, ...

q are the items' features, of length 1 each. A user without events, and an item of which nothing is known, have 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from batch_models.interactions import Interactions, steps_from_the_end


@dataclass(frozen=True)
class ContentBasedConfig:
    """half_life_events: of what the user had, in the user's own events; inf weighs all alike."""

    half_life_events: float = 10.0


class ContentBased:
    """See the module. content: float32[items, f]."""

    def __init__(
        self,
        data: Interactions,
        content: NDArray[np.float32],
        config: ContentBasedConfig,
        device: torch.device,
    ) -> None:
        lengths = np.linalg.norm(content, axis=1, keepdims=True)
        unit = content / np.where(lengths > 0.0, lengths, 1.0)  # [items, f]
        left = np.exp2(-steps_from_the_end(data) / config.half_life_events).astype(np.float32)  # [n]
        user = np.zeros((data.users, content.shape[1]), np.float32)  # [users, f]
        np.add.at(user, data.user, left[:, None] * unit[data.item])
        self.user = torch.from_numpy(user).to(device)
        self.item = torch.from_numpy(unit.astype(np.float32)).to(device)

    def __call__(self, users: Tensor, items: Tensor) -> Tensor:
        """See `Scorer`."""
        return (self.user[users][:, None, :] * self.item[items]).sum(2)  # [b, m]

    def all_items(self, users: Tensor) -> Tensor:
        """See `Scorer`."""
        return self.user[users] @ self.item.T  # [b, items]
