"""One visit: who rates, what was rated, and what nobody has accepted yet. Kept in the browser's session alone."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from serving.bodies import EventIn, ItemOut
from serving.client import ApiError, EngramClient, UnreachableError

_TURNED_AWAY = 429
_SERVER_ERRORS = 500


@dataclass
class Rated:
    """A film of the session's shelf."""

    item: str
    title: str
    stars: int


@dataclass
class Visit:
    """A user's visit. after: position of the last accepted event. shelf: {item: what was rated}, in order.

    waiting: events that nobody has accepted yet; they are sent again, each with its own key, so each counts once.
    shown: the list that was shown last, asked: with what; before: the list before the last rating, cause: that rating.
    turn: number of changes so far, for the keys of widgets. refused: what the API said of an event that it refused.
    """

    user: str
    after: str | None = None
    shelf: dict[str, Rated] = field(default_factory=dict)
    passed: list[str] = field(default_factory=list)
    waiting: list[EventIn] = field(default_factory=list)
    shown: Sequence[ItemOut] = ()
    asked: str = ""
    before: Sequence[ItemOut] | None = None
    cause: Rated | None = None
    turn: int = 0
    refused: str = ""

    def rate(self, item: str, title: str, stars: int) -> None:
        """Take a rating, to be sent."""
        self.shelf.pop(item, None)
        self.shelf[item] = Rated(item, title, stars)
        self.cause = self.shelf[item]
        self._take(EventIn(user=self.user, item=item, rating=float(stars), key=uuid.uuid4().hex))

    def take_back(self, item: str) -> None:
        """Take a rating back, to be sent."""
        self.shelf.pop(item, None)
        self.cause = None
        self._take(EventIn(user=self.user, item=item, kind="retract", key=uuid.uuid4().hex))

    def skip(self, item: str) -> None:
        """Not now: leave an item out for the rest of the visit."""
        self.passed.append(item)
        self.cause, self.before = None, None
        self.turn += 1

    def _take(self, event: EventIn) -> None:
        self.waiting.append(event)
        self.before = self.shown
        self.turn += 1

    def send(self, client: EngramClient) -> bool:
        """Send what waits, in order; whether nothing waits any more. What is refused for good is dropped and said."""
        while self.waiting:
            event = self.waiting[0]
            try:
                self.after = client.send([event])
            except UnreachableError:
                return False
            except ApiError as error:
                if error.status == _TURNED_AWAY or error.status >= _SERVER_ERRORS:
                    return False
                self.refused = error.detail
                self.shelf.pop(event.item, None)
            self.waiting.pop(0)
        return True
