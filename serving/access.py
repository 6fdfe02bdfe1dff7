"""Who may ask, and how often: API keys kept as hashes, a token bucket for each, and a limit of size."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from eventlog.errors import SettingsError

MAX_BODY_BYTES: Final = 2 << 20
_CALLERS: Final = 10_000
_HEX: Final = frozenset("0123456789abcdef")


class Keys:
    """API keys, by their SHA-256 alone. No hashes: everybody may ask."""

    def __init__(self, hashes: Iterable[str] = ()) -> None:
        self._hashes = tuple(hashes)

    @property
    def needed(self) -> bool:
        """Whether a key is needed."""
        return bool(self._hashes)

    def allow(self, key: str | None) -> bool:
        """Whether this key, or none, may ask; takes as long for any."""
        if not self._hashes:
            return True
        given = hash_of(key or "")
        return any([hmac.compare_digest(given, one) for one in self._hashes])


def hash_of(key: str) -> str:
    """What a file of keys holds for `key`: 64 hexadecimal digits."""
    return hashlib.sha256(key.encode()).hexdigest()


def read_keys(path: Path) -> Keys:
    """Read a file of hashes, one a line; blank lines and what follows # are left out.

    Raises `SettingsError` naming the line that is none.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"api-keys is {str(path)!r}, expected a file of SHA-256 hashes: {error}"
        ) from None
    hashes = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip().lower()
        if not text:
            continue
        if len(text) != 64 or not set(text) <= _HEX:
            raise SettingsError(
                f"{path}:{number}: expected the SHA-256 of a key as 64 hexadecimal digits "
                "(printf %s KEY | sha256sum); keys themselves are not kept"
            )
        hashes.append(text)
    if not hashes:
        raise SettingsError(f"api-keys is {str(path)!r}, expected at least one hash")
    return Keys(hashes)


class RateLimit:
    """A token bucket for each caller: `rate` requests a second, `burst` at once. rate 0: no limit.

    The callers that asked last are remembered, ten thousand of them.
    """

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._burst, self._clock = rate, max(burst, 1), clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, caller: str) -> float:
        """Take one token; 0 where there was one, else seconds until there is."""
        if self._rate <= 0:
            return 0.0
        now_s = self._clock()
        tokens, then_s = self._buckets.pop(caller, (float(self._burst), now_s))
        tokens = min(self._burst, tokens + (now_s - then_s) * self._rate)
        wait_s = 0.0 if tokens >= 1.0 else (1.0 - tokens) / self._rate
        self._buckets[caller] = (tokens - 1.0 if tokens >= 1.0 else tokens, now_s)
        while len(self._buckets) > _CALLERS:
            self._buckets.popitem(last=False)
        return wait_s
