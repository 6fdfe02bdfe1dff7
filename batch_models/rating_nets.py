"""Small networks that predict ratings: one a user over a film's bits, and one for all over vectors of users and films.

They are what source system 5 was compared with. Both are fitted to mean squared error by Adam; the networks of all users
are fitted side by side, as one batch of matrix products.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

_HIDDEN = 16
_FACTORS = 16
_EPOCHS_USER = 150
_EPOCHS_ALL = 30
_RATE = 0.01
_BATCH = 256
_DECAY = 1e-4
_MIDDLE = 3.5


class Predicted(NamedTuple):
    """rating: float64[tests], in stars. parameter_bytes: of all networks together."""

    rating: NDArray[np.float64]
    parameter_bytes: int


class Examples(NamedTuple):
    """user, film: int64[n] rows. bits: float32[n, b]. rating: float32[n], in stars."""

    user: NDArray[np.int64]
    film: NDArray[np.int64]
    bits: NDArray[np.float32]
    rating: NDArray[np.float32]


def per_user(train: Examples, test: Examples, users: int, seed: int) -> Predicted:
    """A network a user, bits -> 16 -> 1, fitted to that user's ratings alone."""
    torch.manual_seed(seed)
    most = int(np.bincount(train.user, minlength=users).max())
    bits = train.bits.shape[1]
    x, y, weight = torch.zeros(users, most, bits), torch.zeros(users, most, 1), torch.zeros(users, most, 1)
    place = np.zeros(users, np.int64)
    for at, user in enumerate(train.user.tolist()):
        x[user, place[user]] = torch.from_numpy(train.bits[at])
        y[user, place[user]], weight[user, place[user]] = float(train.rating[at]) - _MIDDLE, 1.0
        place[user] += 1
    first = nn.Parameter(torch.randn(users, bits, _HIDDEN) / bits**0.5)
    bias = nn.Parameter(torch.zeros(users, 1, _HIDDEN))
    last = nn.Parameter(torch.randn(users, _HIDDEN, 1) / _HIDDEN**0.5)
    level = nn.Parameter(torch.zeros(users, 1, 1))
    parameters = [first, bias, last, level]

    def forward(at: torch.Tensor, of: torch.Tensor) -> torch.Tensor:
        return torch.relu(at @ first[of] + bias[of]) @ last[of] + level[of]  # [n, rows, 1]

    everyone = torch.arange(users)
    optimizer = torch.optim.Adam(parameters, lr=_RATE)
    for _ in range(_EPOCHS_USER):
        optimizer.zero_grad()
        error = ((forward(x, everyone) - y) ** 2 * weight).sum(dim=(1, 2)) / weight.sum(dim=(1, 2)).clamp(
            min=1
        )
        error.sum().backward()
        optimizer.step()
    with torch.inference_mode():
        asked = torch.from_numpy(test.bits)[:, None, :]  # [tests, 1, b]
        said = forward(asked, torch.from_numpy(test.user))[:, 0, 0].double().numpy() + _MIDDLE
    return Predicted(np.clip(said, 0.5, 5.0), sum(one.numel() * 4 for one in parameters))


class _Collaborative(nn.Module):
    def __init__(self, users: int, films: int, bits: int) -> None:
        super().__init__()
        self.user = nn.Embedding(users, _FACTORS)
        self.film = nn.Embedding(films, _FACTORS)
        nn.init.normal_(self.user.weight, std=0.05)
        nn.init.normal_(self.film.weight, std=0.05)
        self.layers = nn.Sequential(nn.Linear(2 * _FACTORS + bits, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, user: torch.Tensor, film: torch.Tensor, bits: torch.Tensor) -> torch.Tensor:
        said: torch.Tensor = self.layers(torch.cat([self.user(user), self.film(film), bits], dim=1))[:, 0]
        return said


def collaborative(train: Examples, test: Examples, users: int, films: int, seed: int) -> Predicted:
    """One network for all: vectors of user and film, and the film's bits, -> 32 -> 1."""
    torch.manual_seed(seed)
    model = _Collaborative(users, films, train.bits.shape[1])
    user, film, bits = (torch.from_numpy(array) for array in train[:3])
    target = torch.from_numpy(train.rating) - _MIDDLE
    optimizer = torch.optim.Adam(model.parameters(), lr=_RATE, weight_decay=_DECAY)
    for _ in range(_EPOCHS_ALL):
        for rows in torch.randperm(len(user)).split(_BATCH):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(user[rows], film[rows], bits[rows]), target[rows])
            loss.backward()
            optimizer.step()
    with torch.inference_mode():
        said = model(*(torch.from_numpy(array) for array in test[:3])).double().numpy() + _MIDDLE
    return Predicted(np.clip(said, 0.5, 5.0), sum(one.numel() * 4 for one in model.parameters()))
