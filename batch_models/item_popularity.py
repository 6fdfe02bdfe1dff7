"""Item popularity: how many users have had an item. The floor of every table."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from batch_models.interactions import Interactions


def item_popularity(data: Interactions) -> NDArray[np.float32]:
    """Count events of each item: float32[items]."""
    return np.bincount(data.item, minlength=data.items).astype(np.float32)
