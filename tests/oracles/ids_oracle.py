"""Ids and their rows, in a dict."""

from __future__ import annotations

from collections.abc import Sequence


class IdsOracle:
    """Rows in order of first appearance."""

    def __init__(self) -> None:
        self.row_of: dict[bytes, int] = {}

    def rows(self, ids: Sequence[bytes]) -> list[int]:
        """Rows of `ids`; unknown ones are added."""
        return [self.row_of.setdefault(one, len(self.row_of)) for one in ids]
