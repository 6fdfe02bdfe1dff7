"""Negatives: items that a user never had, drawn uniformly on the device, whole batches at a time."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from batch_models.interactions import Interactions

_BITMAP_BYTES: Final = 1 << 30


class NegativeSampler:
    """Draws items uniformly among those that a user has no event with in `data`.

    Which pairs there are is a table of users x items where that takes at most 1 GiB, else sorted keys.
    Raises `ValueError` for a user who has had all items, of whom nothing can be drawn.
    """

    def __init__(self, data: Interactions, device: torch.device) -> None:
        user = torch.from_numpy(data.user)  # [n]
        item = torch.from_numpy(data.item)  # [n]
        key = torch.unique(user * data.items + item).to(device)  # [pairs], ascending
        had = torch.bincount(key // data.items, minlength=data.users)  # [users]
        if data.users and int(had.max()) >= data.items:
            raise ValueError(
                f"user {int(had.argmax())} has had all {data.items} items, expected at least one that can be drawn"
            )
        self.items = data.items
        self._keys = key
        self._table: Tensor | None = None
        if data.users * data.items <= _BITMAP_BYTES:
            self._table = torch.zeros(data.users * data.items, dtype=torch.bool, device=device)
            self._table[key] = True

    def had(self, users: Tensor, items: Tensor) -> Tensor:
        """Whether pairs are positives. users, items: int64 of one shape; a bool of it."""
        key = users * self.items + items
        if self._table is not None:
            return self._table.index_select(0, key.reshape(-1)).view(key.shape)
        place = torch.searchsorted(self._keys, key).clamp_(max=len(self._keys) - 1)
        return self._keys[place] == key

    def had_rows(self, users: Tensor) -> Tensor:
        """All items' answers of `had`. users: int64[b]; bool[b, items]."""
        if self._table is not None:
            return self._table.view(-1, self.items)[users]  # [b, items]
        everything = torch.arange(self.items, device=users.device)  # [items]
        return self.had(users[:, None].expand(-1, self.items), everything.expand(len(users), -1))

    def draw(self, users: Tensor, per_user: int, generator: torch.Generator) -> Tensor:
        """Draw negatives, with replacement. users: int64[b]; int64[b, per_user]."""
        shape = (len(users), per_user)
        drawn = torch.randint(self.items, shape, generator=generator, device=users.device)  # [b, m]
        owner = users[:, None].expand(shape)  # [b, m]
        wrong = self.had(owner, drawn).nonzero(as_tuple=True)  # (rows, columns) of positives
        while len(wrong[0]):
            again = torch.randint(self.items, (len(wrong[0]),), generator=generator, device=users.device)
            drawn[wrong] = again
            still = self.had(owner[wrong], again)
            wrong = (wrong[0][still], wrong[1][still])
        return drawn
