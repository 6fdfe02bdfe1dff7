"""A typed client of the HTTP API.

with EngramClient("http://localhost:8000") as engram:
    position = engram.rate("196", "242", 4.0)
    for item in engram.recommend("196", after=position).items:
        print(item.title, item.text)
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel

from serving import bodies
from serving import insight_bodies as insight

_Body = TypeVar("_Body", bound=BaseModel)


class ApiError(Exception):
    """The API answered with a problem. status, detail: the problem's; errors: of single fields or events."""

    def __init__(self, status: int, detail: str, errors: Sequence[str] = ()) -> None:
        super().__init__(f"{status}: {detail}")
        self.status, self.detail, self.errors = status, detail, tuple(errors)


class UnreachableError(Exception):
    """Nobody answers at the address."""


class EngramClient:
    """One API at `url`. api_key: where it needs one. timeout_s: of a request.

    Every method raises `ApiError` for a problem, and `UnreachableError`. Sending is safe to repeat: an event is sent
    with a key of its own, and counts once. Of several instances, any may be named: it sends on who asks for another's user.
    """

    def __init__(self, url: str, api_key: str | None = None, timeout_s: float = 15.0) -> None:
        headers = {"X-API-Key": api_key} if api_key else {}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout_s, follow_redirects=True)

    def rate(self, user: str, item: str, rating: float, event_time_ms: int | None = None) -> str:
        """Send one rating; returns its position, to be given as `after`."""
        return self.send([bodies.EventIn(user=user, item=item, rating=rating, event_time_ms=event_time_ms)])

    def take_back(self, user: str, item: str) -> str:
        """Take back that `user` has had `item`; returns the position."""
        return self.send([bodies.EventIn(user=user, item=item, kind="retract")])

    def send(self, events: Sequence[bodies.EventIn]) -> str:
        """Send events, all or none; returns a position behind all of them."""
        body = bodies.EventsIn(events=list(events)).model_dump(exclude_none=True)
        # The key is of this call: repeated by the transport, its events count once.
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        return self._ask(bodies.Accepted, "POST", "/v1/events", json=body, headers=headers).position

    def recommend(self, user: str, **parameters: Any) -> bodies.RecommendationsOut:
        """Read a user's list; parameters are the API's: k, model, genre, diversity, explain, after, ..."""
        return self._ask(
            bodies.RecommendationsOut,
            "GET",
            f"/v1/users/{_quoted(user)}/recommendations",
            params=_given(parameters),
        )

    def user(self, user: str, after: str | None = None) -> bodies.UserOut:
        """Read what is known of a user."""
        return self._ask(bodies.UserOut, "GET", f"/v1/users/{_quoted(user)}", params=_given({"after": after}))

    def forget(self, user: str) -> str:
        """Forget a user; returns the position."""
        return self._ask(bodies.Accepted, "DELETE", f"/v1/users/{_quoted(user)}").position

    def similar(self, item: str, k: int = 10) -> bodies.SimilarOut:
        """Read which items fire together with one."""
        return self._ask(bodies.SimilarOut, "GET", f"/v1/items/{_quoted(item)}/similar", params={"k": k})

    def search(self, text: str = "", k: int = 20) -> list[bodies.ItemOut]:
        """Find items by title; "" finds what is popular now."""
        return self._ask(bodies.FoundOut, "GET", "/v1/items", params={"q": text, "k": k}).items

    def catalogue(self) -> insight.CatalogueOut:
        """Read what there is to recommend."""
        return self._ask(insight.CatalogueOut, "GET", "/v1/catalogue")

    def models(self) -> insight.ModelsOut:
        """Read which models are learned."""
        return self._ask(insight.ModelsOut, "GET", "/v1/models")

    def prequential(self) -> insight.PrequentialOut:
        """Read the prequential figures of now."""
        return self._ask(insight.PrequentialOut, "GET", "/v1/metrics/prequential")

    def item(self, item: str, k: int = 15) -> insight.ItemProfileOut:
        """Read an item's profile as a neuron."""
        return self._ask(insight.ItemProfileOut, "GET", f"/v1/items/{_quoted(item)}", params={"k": k})

    def network(self, **parameters: Any) -> insight.NetworkOut:
        """Read the synapses around a user or an item; parameters are the API's: user, item, neurons, each, at."""
        return self._ask(insight.NetworkOut, "GET", "/v1/network", params=_given(parameters))

    def growth(self) -> insight.GrowthOut:
        """Read how the synapses grew."""
        return self._ask(insight.GrowthOut, "GET", "/v1/network/growth")

    def replay(self) -> insight.ReplayOut | None:
        """Read how far the replay is that runs beside; None where there is none."""
        try:
            return self._ask(insight.ReplayOut, "GET", "/v1/replay")
        except ApiError as error:
            if error.status == httpx.codes.NOT_FOUND:
                return None
            raise

    def change_replay(self, *, paused: bool, rate: float | None) -> insight.ReplayOut:
        """Pause the replay, or let it go on at another rate (None: as fast as it is learned)."""
        body = insight.ReplayIn(paused=paused, rate=rate).model_dump()
        return self._ask(insight.ReplayOut, "PUT", "/v1/replay", json=body)

    def ready(self) -> bool:
        """Whether the API answers and its learner is there."""
        try:
            return self._http.get("/readyz").status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def close(self) -> None:
        """Release the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, body: type[_Body], method: str, path: str, **arguments: Any) -> _Body:
        try:
            answer = self._http.request(method, path, **arguments)
        except httpx.HTTPError as error:
            raise UnreachableError(f"{self._http.base_url}: {error or type(error).__name__}") from error
        if answer.is_success:
            return body.model_validate_json(answer.content)
        try:
            said = bodies.ProblemOut.model_validate_json(answer.content)
        except ValueError:
            raise ApiError(answer.status_code, answer.text[:500]) from None
        raise ApiError(said.status, said.detail, said.errors)


def _given(parameters: dict[str, Any]) -> dict[str, Any]:
    """Those that were given, as a query has them."""
    return {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in parameters.items()
        if value is not None
    }


def _quoted(part: str) -> str:
    return quote(part, safe="")
