"""Who answers for a user: with several instances over one log, each learns some partitions, and knows who learns the others.

A user's events are of one partition, whose lane knows the user. An instance asked about a user of another partition sends the
caller on (307, to the same path there); where nobody is known to learn it, it says so (421). Events are taken by any
instance: they go to the log, which all share.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from eventlog.errors import SettingsError
from eventlog.partitioner import partition_of
from serving.problems import ProblemError, problem

_USERS: Final = "/v1/users/"


@dataclass(frozen=True)
class Owners:
    """mine: the partitions that this instance learns, of `partitions`. others: {partition: address of who learns it}."""

    partitions: int
    mine: frozenset[int]
    others: Mapping[int, str] = field(default_factory=dict)

    @property
    def elsewhere(self) -> frozenset[int]:
        """The partitions that are not learned here."""
        return frozenset(range(self.partitions)) - self.mine


def read_owners(partitions: int, mine: Collection[int], peers: Collection[str]) -> Owners:
    """Read what a command was given: the partitions of this instance, and peers as URL=PARTITION,PARTITION.

    Raises `SettingsError` for a partition that does not exist, or that two have, and for what is no peer.
    """
    others: dict[int, str] = {}
    for peer in peers:
        address, equals, listed = peer.rpartition("=")
        if not equals or not address.startswith(("http://", "https://")) or not listed:
            raise SettingsError(f"peer is {peer!r}, expected one as http://host:8000=2,3")
        for text in listed.split(","):
            if not text.isascii() or not text.isdigit():
                raise SettingsError(f"peer is {peer!r}, expected partitions as 2,3 behind =")
            if int(text) in others or int(text) in mine:
                raise SettingsError(f"partition {int(text)} is given twice, expected one owner of it")
            others[int(text)] = address.rstrip("/")
    for partition in (*mine, *others):
        if not 0 <= partition < partitions:
            raise SettingsError(f"partition is {partition}, expected 0 to {partitions - 1}")
    return Owners(partitions, frozenset(mine), others)


class SendOn:
    """ASGI middleware: sends on who asks about another's user."""

    def __init__(self, app: ASGIApp, owners: Owners) -> None:
        self._app = app
        self._owners = owners

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass, send on, or say that nobody is known."""
        partition = self._partition(scope) if scope["type"] == "http" else None
        if partition is None or partition in self._owners.mine:
            await self._app(scope, receive, send)
            return
        address = self._owners.others.get(partition)
        if address is None:
            refused = ProblemError(
                421,
                f"partition {partition} of the user is not learned here, expected one of {sorted(self._owners.mine)}",
            )
            await problem(Request(scope), refused)(scope, receive, send)
            return
        query = scope["query_string"].decode("latin-1")
        # As it was asked: an id may hold what a URL escapes.
        path = scope.get("raw_path", b"").decode("latin-1").partition("?")[0]
        where = f"{address}{path}?{query}" if query else f"{address}{path}"
        await RedirectResponse(where, 307)(scope, receive, send)

    def _partition(self, scope: Scope) -> int | None:
        """The partition of the user that a request is about, None where it is about none."""
        raw = scope.get("raw_path", b"").decode("latin-1").partition("?")[0]
        if not raw.startswith(_USERS):
            return None
        user = unquote(raw[len(_USERS) :].partition("/")[0])
        return partition_of(user, self._owners.partitions) if user and "\0" not in user else None
