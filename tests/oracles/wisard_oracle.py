"""`wisard` from its formulas: counts in dicts, the retina bit by bit, one event at a time."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from online_models.wisard import WisardConfig
from tests.oracles.rating_synapses_oracle import Film

LEVELS, COARSE, STEPS = 16, 8, 3
SEEN = (1, 2, 3, 4, 5, 6, 7, 8, 12)


class Quantiles:
    """Quantiles of one number at shares k / (steps + 1), by stochastic approximation."""

    def __init__(self, steps: int) -> None:
        self.at = [0.0] * steps
        self.mean, self.distance, self.count = 0.0, 0.0, 0

    def bits(self, number: float) -> list[int]:
        return [int(self.count > 0 and number > quantile) for quantile in self.at]

    def learn(self, number: float) -> None:
        if not self.count:
            self.mean, self.distance, self.at = number, 0.5, [number] * len(self.at)
        rate = max(1 / (self.count + 1), 0.0005)
        self.distance += rate * (abs(number - self.mean) - self.distance)
        self.mean += rate * (number - self.mean)
        step = self.distance * max(4 / (self.count + 10) ** 0.7, 0.01)
        for k, quantile in enumerate(self.at):
            share = (k + 1) / (len(self.at) + 1)
            self.at[k] = quantile + step * (share - (0 if number > quantile else 1))
        self.count += 1


class WisardOracle:
    """numbers: the signals, the expected rating in units and the linear estimate of a like.

    mappings: bits of each node, of a user's discriminators and of the finer nodes.
    """

    def __init__(
        self, config: WisardConfig, films: dict[int, Film], mappings: tuple[list[list[int]], list[list[int]]]
    ) -> None:
        self.config, self.films, self.mappings = config, films, mappings
        self.expected = Quantiles(LEVELS - 1)
        self.numbers = [Quantiles(STEPS) for _ in SEEN]
        # (user, node, address), (node, address), (node, level, address) or level: [dislikes, likes]
        self.own: dict[tuple[int, int, int], list[int]] = defaultdict(lambda: [0, 0])
        self.crowd: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0])
        self.finer: dict[tuple[int, int, int], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
        self.level: dict[int, list[int]] = defaultdict(lambda: [0, 0])
        self.weights = [0.0, 0.3, 0.1, 1.0, 0.8, 0.4]
        self.squares = [30.0] * 6

    def retina(self, item: int, numbers: Sequence[float]) -> list[int]:
        bits = [bit for k, column in enumerate(SEEN) for bit in self.numbers[k].bits(numbers[column])]
        bits += [int(genre in self.films[item].genres) for genre in range(20)]
        return [*bits, int(self.films[item].language > 1)]

    def addresses(self, which: int, bits: Sequence[int]) -> list[int]:
        return [int("".join(str(bits[bit]) for bit in node), 2) for node in self.mappings[which]]

    def look(self, item: int, numbers: Sequence[float]) -> tuple[int, list[int], list[int]]:
        """Level of the expected rating, own and finer addresses."""
        bits = self.retina(item, numbers)
        return sum(self.expected.bits(numbers[-2])), self.addresses(0, bits), self.addresses(1, bits)

    def judge(self, user: int, item: int, numbers: Sequence[float]) -> tuple[float, float, list[float]]:
        """Probability of a like, expected rating in units, and the evidence."""
        config = self.config
        level, own, finer = self.look(item, numbers)
        prior = (self.level[level][1] + 1) / (sum(self.level[level]) + 2)
        crowd, errors, mine = [], [], []
        for node, address in enumerate(finer):
            dislikes, likes, error = self.finer[node, level * COARSE // LEVELS, address]
            met = dislikes + likes + config.crowd_shrinkage
            crowd.append((likes + config.crowd_shrinkage * prior) / met)
            errors.append(error / met)
        for node, address in enumerate(own):
            dislikes, likes = self.crowd[node, address]
            share = (likes + config.crowd_shrinkage * prior) / (dislikes + likes + config.crowd_shrinkage)
            dislikes, likes = self.own[user, node, address]
            mine.append(
                (likes + config.own_shrinkage * share) / (dislikes + likes + config.own_shrinkage) - share
            )
        evidence = [
            1.0,
            math.log(prior / (1 - prior)),
            4 * (sum(crowd) / len(crowd) - prior),
            4 * sum(mine) / len(mine),
            numbers[-2] - 2.5,
            4 * (numbers[-1] - 0.5),
        ]
        total = sum(weight * part for weight, part in zip(self.weights, evidence, strict=True))
        expected = min(max(numbers[-2] + sum(errors) / len(errors), 0.0), 4.0)
        return 1 / (1 + math.exp(-total)), expected, evidence

    def count(self, counts: list[int] | list[float], label: int, *, whole: bool = True) -> None:
        if counts[0] + counts[1] >= self.config.crowd_limit:
            counts[:] = [int(count / 2) if whole else count / 2 for count in counts]
        counts[label] += 1

    def count_own(self, counts: list[int], label: int) -> None:
        if counts[label] == 15:
            counts[:] = [count // 2 for count in counts]
        counts[label] += 1

    def learn(self, user: int, item: int, rating: float, numbers: Sequence[float]) -> None:
        """Learn a rating in units."""
        like, _, evidence = self.judge(user, item, numbers)
        label = int(rating >= 3)
        for k, part in enumerate(evidence):
            gradient = (label - like) * part
            self.squares[k] += gradient**2
            self.weights[k] += self.config.readout_rate * gradient / math.sqrt(self.squares[k])
        level, own, finer = self.look(item, numbers)
        self.count(self.level[level], label)
        for node, address in enumerate(finer):
            cell = self.finer[node, level * COARSE // LEVELS, address]
            self.count(cell, label, whole=False)
            cell[2] += rating - numbers[-2]
        for node, address in enumerate(own):
            self.count(self.crowd[node, address], label)
            self.count_own(self.own[user, node, address], label)
        self.expected.learn(numbers[-2])
        for k, column in enumerate(SEEN):
            self.numbers[k].learn(numbers[column])

    def relabel(self, user: int, item: int, before: float, after: float, numbers: Sequence[float]) -> None:
        """Train the label of a rating in the place of the one before, both in units."""
        old, new = int(before >= 3), int(after >= 3)
        if old == new:
            return
        _, own, _ = self.look(item, numbers)
        for node, address in enumerate(own):
            for counts in (self.crowd[node, address], self.own[user, node, address]):
                counts[old] = max(counts[old] - 1, 0)
            self.crowd[node, address][new] += 1
            self.count_own(self.own[user, node, address], new)
