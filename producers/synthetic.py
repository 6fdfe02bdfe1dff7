"""The synthetic stream: seeded, of any size, generated block by block and never held in memory.

What happens in it: items have power-law popularity (rank^-exponent) and arrive over time, as users do; each user
and each item belongs to a community of taste, and most of what a user takes is of their community. Users come in
sessions, and may leave for good. At known event numbers, every `flip_every` events, tastes flip, in one of two ways:

- `taste`: each community turns to the items of the next one. What goes together, and what is popular, stays as it was.
- `items`: the items that were there from the start are dealt anew to communities and ranks of popularity. Nothing
  that was learned about them holds any more.

Every block has a generator of its own, seeded by (seed, block), so a resumed replay can start at any block.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from eventlog.errors import SettingsError
from eventlog.metadata import ItemMetadata, UserMetadata
from producers.columns import RatingColumns

BLOCK: Final = 8_192
RATING_MIN: Final = 1.0
RATING_MAX: Final = 5.0
_EPOCH_MS: Final = 946_684_800_000  # 2000-01-01
_SESSION: Final = 8  # events of one user in a row
TASTE: Final = "taste"
ITEMS: Final = "items"


@dataclass(frozen=True, slots=True)
class SyntheticConfig:
    """Shape of the stream.

    users: of the whole stream, half of them there at the start and the others arriving evenly; or, where user_events
    is not 0, those who are there at a time: a newcomer replaces the oldest every `user_events` events, which is how
    many a user has on average. own_share: how much of what a user takes is of their own community. flip_every: events
    between flips, 0 for none; flips: their kinds, in turn. events_per_s: of event time.
    Raises `SettingsError` for sizes that make no stream.
    """

    events: int = 100_000
    users: int = 4_000
    user_events: int = 0
    items: int = 4_000
    communities: int = 8
    own_share: float = 0.85
    exponent: float = 0.8
    flip_every: int = 0
    flips: tuple[str, ...] = (TASTE,)
    events_per_s: float = 5.0
    seed: int = 0

    def __post_init__(self) -> None:
        least_of = {"events": 0, "users": 1, "user_events": 0, "communities": 1, "flip_every": 0, "seed": 0}
        for name, least in least_of.items():
            if getattr(self, name) < least:
                raise SettingsError(f"synthetic {name} is {getattr(self, name)}, expected {least} or more")
        if self.items < self.communities:
            raise SettingsError(
                f"synthetic items is {self.items}, expected at least communities, {self.communities}"
            )
        if not 0 <= self.own_share <= 1:
            raise SettingsError(f"synthetic own_share is {self.own_share}, expected 0 to 1")
        if not 0 < self.events_per_s < math.inf:
            raise SettingsError(f"synthetic events_per_s is {self.events_per_s}, expected more than 0")
        if not math.isfinite(self.exponent):
            raise SettingsError(f"synthetic exponent is {self.exponent}, expected a finite number")
        if not self.flips or set(self.flips) - {TASTE, ITEMS}:
            raise SettingsError(f"synthetic flips is {self.flips}, expected some of {TASTE}, {ITEMS}")


class SyntheticStream:
    """See the module; an `EventStream`. Half of the items are there at the start, the others arrive evenly."""

    def __init__(self, config: SyntheticConfig) -> None:
        self.config = config
        self.source_id = f"synthetic:{self.digest()[:16]}"
        self.total_events = config.events
        self.rating_min = RATING_MIN
        self.rating_max = RATING_MAX
        leavers = config.events // config.user_events if config.user_events else 0
        self._user_ids = config.users + leavers
        # Items of community c are those with number = c modulo communities; low numbers are popular and early.
        per_taste = config.items // config.communities
        weight = np.arange(1, per_taste + 1, dtype=np.float64) ** -config.exponent
        self._cumulative = np.cumsum(weight)

    def digest(self) -> str:
        """sha256 of the configuration, which determines every event."""
        return hashlib.sha256(msgspec.json.encode(asdict(self.config), order="sorted")).hexdigest()

    def block(self, first: int, size: int) -> RatingColumns:
        """See `EventStream.block`; cut from blocks of `BLOCK` events, whatever is asked for."""
        last = min(first + size, self.config.events)
        if last <= first:
            return RatingColumns.concat([])
        parts = [self._generate(block) for block in range(first // BLOCK, (last - 1) // BLOCK + 1)]
        start = first - first // BLOCK * BLOCK
        return RatingColumns.concat(parts).take(slice(start, start + last - first))

    def _generate(self, block: int) -> RatingColumns:
        config = self.config
        rng = np.random.default_rng([config.seed, 1, block])
        number = np.arange(block * BLOCK, (block + 1) * BLOCK, dtype=np.int64)
        # A session is one user, of those there when it starts; `communities` sessions run side by side.
        turn = _SESSION * config.communities
        session = number // turn * config.communities + number % config.communities
        started = number // turn * turn
        draw = _uniform(session, config.seed)
        if config.user_events:
            user = started // config.user_events + (draw * config.users).astype(np.int64)
        else:
            users_now = np.maximum((self._arrived(started) * config.users).astype(np.int64), 1)
            user = (draw * users_now).astype(np.int64)
        flips = number // config.flip_every if config.flip_every else np.zeros_like(number)
        own = rng.random(BLOCK) < config.own_share
        elsewhere = rng.integers(config.communities, size=BLOCK)
        turns = self._flips_until(flips, TASTE)
        born = (_uniform(~user, config.seed) * config.communities).astype(np.int64)
        liked = (born + turns) % config.communities
        taste = np.where(own, liked, elsewhere)
        per_taste = len(self._cumulative)
        there = np.maximum((self._arrived(number) * per_taste).astype(np.int64), 1)
        rank = np.searchsorted(
            self._cumulative, rng.random(BLOCK) * self._cumulative[there - 1], side="right"
        )
        item = self._dealt(rank * config.communities + taste, self._flips_until(flips, ITEMS))
        # Who takes an item again rates it as before, unless tastes have flipped since.
        opinion = _uniform(user * config.items + item, config.seed)
        rating = np.where(taste == liked, 4 + (opinion < 0.6), 1 + (4 * opinion).astype(np.int64))
        time_ms = _EPOCH_MS + (number / config.events_per_s * 1000.0).astype(np.int64)
        return RatingColumns(
            _ids(b"u", user, self._user_ids),
            _ids(b"i", item, config.items),
            rating.astype(np.float64),
            time_ms,
        )

    def _flips_until(self, flips: NDArray[np.int64], kind: str) -> NDArray[np.int64]:
        """Return how many of the first `flips` flips are of a kind."""
        kinds = np.array([each == kind for each in self.config.flips], np.int64)
        rounds, rest = flips // len(kinds), flips % len(kinds)
        before: NDArray[np.int64] = rounds * kinds.sum() + np.concatenate([[0], np.cumsum(kinds)])[rest]
        return before

    def _dealt(self, item: NDArray[np.int64], deals: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return which items are in the places `item` after as many deals of those that were there at the start."""
        early = len(self._cumulative) // 2 * self.config.communities
        found = item.copy()
        for deal in np.unique(deals).tolist():
            if deal:
                moved = (deals == deal) & (item < early)
                found[moved] = np.random.default_rng([self.config.seed, 2, deal]).permutation(early)[
                    item[moved]
                ]
        return found

    def _arrived(self, number: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return which part of users and items is there at an event: from a half to 1."""
        return 0.5 + 0.5 * np.minimum(number / max(self.config.events, 1), 1.0)

    def items(self) -> Iterator[ItemMetadata]:
        """Titles, and the community as the genre."""
        communities = self.config.communities
        for item in range(self.config.items // communities * communities):
            yield ItemMetadata(
                item=f"i{item}", title=f"Synthetic {item}", genres=(f"Taste {item % communities}",)
            )

    def users(self) -> Iterator[UserMetadata]:
        """Nothing is known of users beforehand."""
        return iter(())


def _ids(prefix: bytes, number: NDArray[np.int64], count: int) -> NDArray[np.bytes_]:
    """Ids of numbers below `count`, as wide as the longest."""
    return np.char.add(prefix, number.astype(f"S{len(str(count - 1))}"))


def _uniform(number: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    """Uniform in [0, 1) by number: splitmix64 (Steele et al. 2014), so that any block can be made alone."""
    state = number.astype(np.uint64) + np.uint64(seed * 0xD1B54A32D192ED03 % (1 << 64))
    mixed = (state + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(11)).astype(np.float64) / float(1 << 53)


def checkerboard(
    n_events: int, n_users: int, n_items: int, flip_at: int, rng: np.random.Generator
) -> RatingColumns:
    """Make the known-answer stream: even users take even items and odd users odd ones, until event `flip_at`.

    From then on it is the other way round. All users and items are uniform; one event a second.
    """
    number = np.arange(n_events, dtype=np.int64)
    user = rng.integers(n_users, size=n_events)
    half = n_items // 2
    parity = (user + (number >= flip_at)) % 2
    item = 2 * rng.integers(half, size=n_events) + parity
    return RatingColumns(
        _ids(b"u", user, n_users),
        _ids(b"i", item, n_items),
        np.full(n_events, 5.0),
        _EPOCH_MS + number * 1000,
    )
