"""How `wisard` judges and learns: its arrays and kernels, event by event. See `wisard` for the formulas."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.interactions import REPEAT, Histories, Interactions, Predictions
from online_models.ram_nodes import DISLIKE, LIKE, count_of, look_up, trained, untrained
from online_models.rating_signals import LIKE_FROM
from online_models.retina import LEVELS, Thermometers, adapt, see

COARSE: Final = 8  # levels in a finer node's address
EVIDENCE: Final = 6
Mappings = tuple[NDArray[np.int64], NDArray[np.int64]]


class Rule(NamedTuple):
    """`WisardConfig` for the kernels. least, unit: of the rating scale; like_from in units."""

    own_shrinkage: float
    crowd_shrinkage: float
    crowd_limit: int
    readout_rate: float
    least: float
    unit: float


class Network(NamedTuple):
    """The arrays of `wisard`, without those of `rating_synapses`.

    own: uint8[users, nodes, 2^width], see `ram_nodes`. crowd: int32[nodes, 2^width, 2], dislikes and likes.
    finer: float64[finer_nodes, 8 * 2^finer_width, 3], dislikes, likes, and sum of errors of the expected rating.
    level: int32[LEVELS, 2], dislikes and likes. readout: float64[2, 6], weights and sums of squared gradients.
    """

    own: NDArray[np.uint8]
    crowd: NDArray[np.int32]
    finer: NDArray[np.float64]
    level: NDArray[np.int32]
    readout: NDArray[np.float64]


class Sight(NamedTuple):
    """Room for one event. bits: int64[bits]. own, finer: int64[nodes], addresses. evidence: float64[6]."""

    bits: NDArray[np.int64]
    own: NDArray[np.int64]
    finer: NDArray[np.int64]
    evidence: NDArray[np.float64]


@numba.njit(cache=True, inline="always")
def look(
    thermometers: Thermometers,
    mappings: Mappings,
    numbers: NDArray[np.float64],
    histories: Histories,
    item: int,
    sight: Sight,
) -> int:
    """Fill bits and addresses; return the level of the expected rating."""
    entry = histories.catalogue.entry[item]
    genres, language = histories.catalogue.genres[entry], histories.catalogue.language[entry]
    level = see(thermometers, numbers, genres, language, sight.bits)
    look_up(sight.bits, mappings[0], sight.own)
    look_up(sight.bits, mappings[1], sight.finer)
    coarse = level * COARSE // LEVELS
    for node in range(len(sight.finer)):
        sight.finer[node] = sight.finer[node] * COARSE + coarse
    return level


@numba.njit(cache=True, inline="always")
def _judge(
    network: Network,
    cells: NDArray[np.uint8],
    rule: Rule,
    numbers: NDArray[np.float64],
    level: int,
    sight: Sight,
) -> tuple[float, float]:
    """Fill the evidence; return the probability of a like, and the expected rating in units.

    cells: uint8[nodes, 2^width] of the user.
    """
    most = len(numbers)
    prior = (network.level[level, LIKE] + 1.0) / (network.level[level, 0] + network.level[level, 1] + 2.0)
    crowd, error = 0.0, 0.0
    for node in range(len(sight.finer)):
        cell = network.finer[node, sight.finer[node]]
        met = cell[DISLIKE] + cell[LIKE] + rule.crowd_shrinkage
        crowd += (cell[LIKE] + rule.crowd_shrinkage * prior) / met
        error += cell[2] / met
    crowd = crowd / len(sight.finer) - prior
    error /= len(sight.finer)
    own = 0.0
    for node in range(len(sight.own)):
        of_all = network.crowd[node, sight.own[node]]
        met = of_all[DISLIKE] + of_all[LIKE] + rule.crowd_shrinkage
        share = (of_all[LIKE] + rule.crowd_shrinkage * prior) / met
        cell = cells[node, sight.own[node]]
        likes, dislikes = count_of(cell, LIKE), count_of(cell, DISLIKE)
        own += (likes + rule.own_shrinkage * share) / (likes + dislikes + rule.own_shrinkage) - share
    own /= len(sight.own)
    evidence = sight.evidence
    evidence[0] = 1.0
    evidence[1] = np.log(prior / (1.0 - prior))
    evidence[2] = 4.0 * crowd
    evidence[3] = 4.0 * own
    evidence[4] = numbers[most - 2] - 2.5
    evidence[5] = 4.0 * (numbers[most - 1] - 0.5)
    total = 0.0
    for k in range(len(evidence)):
        total += network.readout[0, k] * evidence[k]
    return 1.0 / (1.0 + np.exp(-total)), min(max(numbers[most - 2] + error, 0.0), 4.0)


@numba.njit(cache=True, inline="always")
def _count(counts: NDArray[Any], label: int, limit: int) -> None:
    """Count one event in a cell of the community; a full one is halved first."""
    if counts[DISLIKE] + counts[LIKE] >= limit:
        for k in range(len(counts)):
            counts[k] = counts[k] / 2
    counts[label] += 1


@numba.njit(cache=True, inline="always")
def _train(network: Network, user: int, rule: Rule, seen: tuple[int, int, float], sight: Sight) -> None:
    """seen: level, label, and the error of the expected rating."""
    level, label, error = seen
    _count(network.level[level], label, rule.crowd_limit)
    for node in range(len(sight.finer)):
        cell = network.finer[node, sight.finer[node]]
        _count(cell, label, rule.crowd_limit)
        cell[2] += error
    for node in range(len(sight.own)):
        address = sight.own[node]
        _count(network.crowd[node, address], label, rule.crowd_limit)
        network.own[user, node, address] = trained(network.own[user, node, address], label)


@numba.njit(cache=True, inline="always")
def _relabel(network: Network, user: int, before: int, label: int, sight: Sight) -> None:
    """Train a label in the place of another, at the addresses of now, where both discriminators look."""
    for node in range(len(sight.own)):
        address = sight.own[node]
        of_all = network.crowd[node, address]
        of_all[before] = max(of_all[before] - 1, 0)
        of_all[label] += 1
        cell = untrained(network.own[user, node, address], before)
        network.own[user, node, address] = trained(cell, label)


@numba.njit(cache=True, inline="always")
def _learn_readout(network: Network, rule: Rule, error: float, evidence: NDArray[np.float64]) -> None:
    weights, squares = network.readout[0], network.readout[1]
    for k in range(len(evidence)):
        gradient = error * evidence[k]
        squares[k] += gradient * gradient
        weights[k] += rule.readout_rate * gradient / np.sqrt(squares[k])


@numba.njit(cache=True)
def judge_then_learn(
    events: Interactions,
    histories: Histories,
    numbers: NDArray[np.float64],
    network: Network,
    eyes: tuple[Thermometers, Mappings],
    rule: Rule,
    sight: Sight,
    out: Predictions,
) -> None:
    """numbers: float64[n, signals + 2], what `RatingSynapses.read` read. eyes: thermometers, mappings."""
    thermometers, mappings = eyes
    for i in range(len(events.user)):
        if np.isnan(events.rating[i]):
            continue
        user, row = events.user[i], numbers[i]
        rating = (events.rating[i] - rule.least) * rule.unit
        label = LIKE if rating >= LIKE_FROM else DISLIKE
        level = look(thermometers, mappings, row, histories, events.item[i], sight)
        if events.flags[i] & REPEAT:
            previous = (events.previous[i] - rule.least) * rule.unit
            if not np.isnan(previous):
                before = LIKE if previous >= LIKE_FROM else DISLIKE
                if before != label:
                    _relabel(network, user, before, label, sight)
            continue
        like, expected = _judge(network, network.own[user], rule, row, level, sight)
        out.likes[i] = like
        out.ratings[i] = rule.least + expected / rule.unit
        _learn_readout(network, rule, label - like, sight.evidence)
        _train(network, user, rule, (level, label, rating - row[len(row) - 2]), sight)
        adapt(thermometers, row)


@numba.njit(cache=True)
def judge_all(
    histories: Histories,
    numbers: NDArray[np.float64],
    network: Network,
    cells: NDArray[np.uint8],
    eyes: tuple[Thermometers, Mappings],
    rule: Rule,
    sight: Sight,
    out: NDArray[np.float64],
) -> None:
    """out: float64[items, 2], probability of a like and expected rating in units."""
    for item in range(len(out)):
        level = look(eyes[0], eyes[1], numbers[item], histories, item, sight)
        out[item, 0], out[item, 1] = _judge(network, cells, rule, numbers[item], level, sight)
