"""Where to draw neurons: forces between them, after LinLog (Noack 2007), and room for their circles.

Neurons repel each other as 1 / distance, synapses attract with a force of their weight that does not grow with the
distance: groups with much weight between them end up apart from others. Synapses between communities pull less, and
all neurons are drawn to the middle a little, so that nothing flies off. Deterministic.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from online_models.synapse_view import SynapseView

_ROUNDS: Final = 400
_APART: Final = 0.25  # how much synapses between communities pull, as a share
_GRAVITY: Final = 0.06
_GAP: Final = 1.35  # circles are kept at so many times their radii


def layout(
    view: SynapseView, community: NDArray[np.int32], radius: NDArray[np.float64], seed: int
) -> NDArray[np.float64]:
    """Return a place for each neuron, float64[n, 2], within [-1, 1].

    view: the synapses that attract. community: int32[n]. radius: float64[n], of the circles, in the same unit. Time and
    memory grow with n^2: a few hundred neurons at most.
    """
    n = len(community)
    if n < 2:
        return np.zeros((n, 2))
    pull = _pulls(view, community)
    place = _start(community, seed)
    mass = 1.0 + pull.sum(axis=1)
    for done in range(_ROUNDS):
        apart = place[:, None, :] - place[None, :, :]
        distance = np.sqrt((apart**2).sum(axis=2)) + 1e-9
        strength = 0.002 * np.outer(mass, mass) / distance**2 - 0.02 * pull / distance
        np.fill_diagonal(strength, 0.0)
        force = (strength[:, :, None] * apart).sum(axis=1) - _GRAVITY * mass[:, None] * place
        length = np.sqrt((force**2).sum(axis=1, keepdims=True)) + 1e-12
        # What may be moved in a round shrinks: the places settle.
        most = 0.08 * (1 - done / _ROUNDS) + 1e-4
        place += force / length * np.minimum(length, most)
    place -= place.mean(axis=0)
    place *= 0.95 / np.abs(place).max(axis=0)
    return _without_overlap(place, radius)


def _pulls(view: SynapseView, community: NDArray[np.int32]) -> NDArray[np.float64]:
    """Symmetric weights, float64[n, n], each neuron's strongest about 1: a hub shall not draw everything to itself."""
    n = len(community)
    pull = np.zeros((n, n))
    np.add.at(pull, (view.pre, view.post), view.weight)
    pull = np.sqrt(pull + pull.T)
    strongest = np.maximum(pull.max(axis=1), 1e-12)
    pull /= np.sqrt(np.outer(strongest, strongest))
    pull[community[:, None] != community[None, :]] *= _APART
    np.fill_diagonal(pull, 0.0)
    return pull


def _start(community: NDArray[np.int32], seed: int) -> NDArray[np.float64]:
    """Communities around a circle, their neurons scattered about the place."""
    groups = int(community.max()) + 1
    angle = 2 * np.pi * community / groups
    centre = 0.7 * np.column_stack([np.cos(angle), np.sin(angle)])
    return np.asarray(centre + np.random.default_rng(seed).normal(0, 0.15, centre.shape))


def _without_overlap(place: NDArray[np.float64], radius: NDArray[np.float64]) -> NDArray[np.float64]:
    least = _GAP * (radius[:, None] + radius[None, :])
    np.fill_diagonal(least, 0.0)
    for _ in range(200):
        apart = place[:, None, :] - place[None, :, :]
        distance = np.sqrt((apart**2).sum(axis=2)) + 1e-9
        short = np.maximum(least - distance, 0.0)
        if not short.any():
            break
        place = place + (0.25 * (short / distance)[:, :, None] * apart).sum(axis=1)
    largest = float(np.abs(place).max())
    return place / largest if largest > 1 else place
