"""RAM nodes of a WiSARD network: addresses from tuples of the retina's bits, cells that count, bleaching, images.

A user's cell is one byte: how often its address was met with a dislike in the low four bits, with a like in the high
four. A count that is full halves both of its cell first, so that what is old fades.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.random_scores import uniform

DISLIKE: Final = 0
LIKE: Final = 1
FULL: Final = 15  # the largest count of a cell
UNDECIDED: Final = -1


class Verdict(NamedTuple):
    """What discriminators answer.

    winner: `DISLIKE`, `LIKE`, or `UNDECIDED` where no bleaching tells them apart. bleaching: counts up to it do not
    answer. answers: how many RAM nodes answer, of dislikes and likes. confidence: (most - least) / most, 0 to 1.
    """

    winner: int
    bleaching: int
    answers: tuple[int, int]
    confidence: float


def tuples(seed: int, nodes: int, width: int, bits: int) -> NDArray[np.int64]:
    """Draw the bits of each node: int64[nodes, width].

    All bits are dealt out in random order, and again when they are used up, so that each is used equally often.
    """
    rounds = -(-nodes * width // bits)
    chance = np.array([[uniform(seed, deal, bit) for bit in range(bits)] for deal in range(rounds)])
    dealt = np.argsort(chance, axis=1, kind="stable").reshape(-1)
    return dealt[: nodes * width].reshape(nodes, width)


@numba.njit(cache=True, inline="always")
def look_up(bits: NDArray[np.int64], mapping: NDArray[np.int64], addresses: NDArray[np.int64]) -> None:
    """Address of each node: its bits as a binary number, the first the highest. addresses: int64[nodes], filled."""
    for node in range(mapping.shape[0]):
        address = 0
        for k in range(mapping.shape[1]):
            address = 2 * address + bits[mapping[node, k]]
        addresses[node] = address


@numba.njit(cache=True, inline="always")
def count_of(cell: np.uint8, label: int) -> int:
    """How often the cell was met with `label`: 0 to 15."""
    return int(cell >> 4) if label == LIKE else int(cell & 15)


@numba.njit(cache=True, inline="always")
def trained(cell: np.uint8, label: int) -> np.uint8:
    """Return the cell after one more event with `label`."""
    counts = np.int64(cell)
    if count_of(cell, label) == FULL:
        counts = ((counts >> 5) << 4) | ((counts & 15) >> 1)
    return np.uint8(counts + (16 if label == LIKE else 1))


@numba.njit(cache=True, inline="always")
def untrained(cell: np.uint8, label: int) -> np.uint8:
    """Return the cell after one event with `label` less, if it still counts one."""
    return np.uint8(np.int64(cell) - (16 if label == LIKE else 1)) if count_of(cell, label) > 0 else cell


@numba.njit(cache=True, inline="always")
def answers(cells: NDArray[np.uint8], addresses: NDArray[np.int64], label: int, bleaching: int) -> int:
    """How many nodes of a discriminator answer: their count at the address is above `bleaching`."""
    found = 0
    for node in range(len(addresses)):
        found += 1 if count_of(cells[node, addresses[node]], label) > bleaching else 0
    return found


def decide(cells: NDArray[np.uint8], addresses: NDArray[np.int64]) -> Verdict:
    """Let the two discriminators answer, and bleach until they differ (Grieco, Lo Priore, Giordano & Gregorio 2010).

    cells: uint8[nodes, addresses] of one user; addresses: int64[nodes].
    """
    for bleaching in range(FULL + 1):
        dislikes = int(answers(cells, addresses, DISLIKE, bleaching))
        likes = int(answers(cells, addresses, LIKE, bleaching))
        if dislikes != likes:
            most, least = max(dislikes, likes), min(dislikes, likes)
            winner = LIKE if likes > dislikes else DISLIKE
            return Verdict(winner, bleaching, (dislikes, likes), (most - least) / most)
        if not likes:
            break
    return Verdict(UNDECIDED, bleaching, (dislikes, likes), 0.0)


def image(cells: NDArray[np.uint8], mapping: NDArray[np.int64], bits: int, label: int) -> NDArray[np.float64]:
    """How often each bit of the retina was on when `label` was met: float64[bits], 0 to 1.

    From the counts: of the nodes that look at a bit, the share of counts at addresses where it is on. 0 for a bit at
    which no node looks, and before anything was met.
    """
    counts = (cells >> 4 if label == LIKE else cells & 15).astype(np.int64)
    on, met = np.zeros(bits), np.zeros(bits)
    width = mapping.shape[1]
    addresses = np.arange(cells.shape[1])
    for place in range(width):
        shown = (addresses >> (width - 1 - place)) & 1
        np.add.at(on, mapping[:, place], (counts * shown).sum(axis=1))
        np.add.at(met, mapping[:, place], counts.sum(axis=1))
    return np.divide(on, met, out=np.zeros(bits), where=met > 0)
