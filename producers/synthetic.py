"""The synthetic stream: seeded, of any size, generated block by block and never held in memory.

What happens in it: items have power-law popularity (rank^-exponent) and arrive over time, as users do; each user
and each item belongs to a community of taste, and most of what a user takes is of their community. At known event
numbers, every `flip_every` events, each community turns to the items of the next one. Users come in sessions.

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


@dataclass(frozen=True, slots=True)
class SyntheticConfig:
    """Shape of the stream.

    own_share: how much of what a user takes is of their own community. flip_every: events between flips of taste,
    0 for none. events_per_s: of event time. Raises `SettingsError` for sizes that make no stream.
    """

    events: int = 100_000
    users: int = 4_000
    items: int = 4_000
    communities: int = 8
    own_share: float = 0.85
    exponent: float = 0.8
    flip_every: int = 0
    events_per_s: float = 5.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("events", 0), ("users", 1), ("communities", 1), ("flip_every", 0), ("seed", 0)):
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


class SyntheticStream:
    """See the module; an `EventStream`. Half of users and items are there at the start, the others arrive evenly."""

    def __init__(self, config: SyntheticConfig) -> None:
        self.config = config
        self.source_id = f"synthetic:{self.digest()[:16]}"
        self.total_events = config.events
        self.rating_min = RATING_MIN
        self.rating_max = RATING_MAX
        rng = np.random.default_rng([config.seed, 0])
        self._user_taste = rng.integers(config.communities, size=config.users)
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
        users_now = np.maximum((self._arrived(number // turn * turn) * config.users).astype(np.int64), 1)
        draw = _uniform(session, config.seed)
        user = (draw * users_now).astype(np.int64)
        flips = number // config.flip_every if config.flip_every else np.zeros_like(number)
        own = rng.random(BLOCK) < config.own_share
        elsewhere = rng.integers(config.communities, size=BLOCK)
        taste = np.where(own, (self._user_taste[user] + flips) % config.communities, elsewhere)
        per_taste = len(self._cumulative)
        there = np.maximum((self._arrived(number) * per_taste).astype(np.int64), 1)
        rank = np.searchsorted(
            self._cumulative, rng.random(BLOCK) * self._cumulative[there - 1], side="right"
        )
        item = rank * config.communities + taste
        rating = np.where(own, 4 + (rng.random(BLOCK) < 0.6), 1 + rng.integers(4, size=BLOCK))
        time_ms = _EPOCH_MS + (number / config.events_per_s * 1000.0).astype(np.int64)
        return RatingColumns(
            _ids(b"u", user, config.users), _ids(b"i", item, config.items), rating.astype(np.float64), time_ms
        )

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
