"""Texts of others in markdown, and numbers as people read them."""

from __future__ import annotations

import re
import time
from typing import Final

_MARKUP: Final = re.compile(r"([\\`*_{}\[\]()#+!$:<>|~-])")


def plain(text: str) -> str:
    """`text` as it is: nothing in it is markup."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))


def titled(title: str, year: int | None) -> str:
    """A title with its year, once: many titles have it already."""
    return title if year is None or f"({year})" in title else f"{title} ({year})"


def stars(rating: float) -> str:
    """A rating as stars."""
    full = max(0, min(5, round(rating)))
    return "★" * full + "☆" * (5 - full)


def day(time_ms: int) -> str:
    """An event time as 7 March 1998."""
    when = time.gmtime(time_ms / 1000)
    return f"{when.tm_mday} {time.strftime('%B %Y', when)}"


def percent(share: float) -> str:
    """A share as 12.3 %."""
    return f"{100 * share:.1f} %"
