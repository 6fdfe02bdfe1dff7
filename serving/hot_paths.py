"""The two requests that come by the thousand - a list for a user, and events - answered past the framework.

Only what is well-formed beyond doubt is taken, and anything else is handed on as it came: so FastAPI alone decides what is
wrong with a request and says so, and both ways answer alike (tested). A request here costs a fifth of what it costs there.
"""

from __future__ import annotations

import functools
import secrets
import time
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eventlog.codec import WireEvent
from serving import bodies, questions
from serving.parts import Serving
from serving.problems import problem, problem_of
from serving.questions import Asking
from serving.shown import list_body

_USERS: Final = "/v1/users/"
_LIST: Final = "/recommendations"
_JSON: Final = b"application/json"
_ID: Final = Meta(min_length=1, max_length=256)
_DIGITS: Final = frozenset("0123456789")
_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")
_MOST_K: Final = 200


class _Route(NamedTuple):
    """As the metrics of requests know a route."""

    path: str


_RECOMMEND: Final = _Route(f"{_USERS}{{user}}{_LIST}")
_SEND: Final = _Route("/v1/events")


class _Sent(msgspec.Struct, forbid_unknown_fields=True):
    """One event as `bodies.EventIn` takes it, or less."""

    user: Annotated[str, _ID]
    item: Annotated[str, _ID]
    rating: float | None = None
    kind: Literal["rating", "view", "click", "retract"] = "rating"
    event_time_ms: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    key: Annotated[str, _ID] | None = None


class _Several(msgspec.Struct, forbid_unknown_fields=True):
    events: Annotated[list[_Sent], Meta(min_length=1, max_length=bodies.MAX_EVENTS)]


_decode_one: Final = msgspec.json.Decoder(_Sent).decode
_decode_several: Final = msgspec.json.Decoder(_Several).decode


class HotPaths:
    """ASGI middleware, inside of what every request passes first."""

    def __init__(self, app: ASGIApp, serving: Serving) -> None:
        self._app = app
        self._serving = serving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand on."""
        if scope["type"] == "http":
            path: str = scope["path"]
            if scope["method"] == "GET" and path.startswith(_USERS) and path.endswith(_LIST):
                user, asked = path[len(_USERS) : -len(_LIST)], asking_of(scope["query_string"])
                if asked is not None and _is_id(user):
                    await self._recommend(user, asked, scope, receive, send)
                    return
            elif scope["method"] == "POST" and path == _SEND.path:
                await self._events(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _recommend(
        self, user: str, asked: tuple[Asking, str | None], scope: Scope, receive: Receive, send: Send
    ) -> None:
        scope["route"] = _RECOMMEND
        asking, after = asked
        try:
            waited = await self._serving.passed(after, None)
            found = await self._serving.ask(questions.Recommendations(user, asking))
        except Exception as error:
            await _refuse(error, scope, receive, send)
            return
        await _answer(200, list_body(found, waited, self._serving.shelf, explain=asking.explain), send)

    async def _events(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, key = await _whole(receive), _plain_key(scope)
        events = None if key is None or body is None else events_of(body, key)
        if events is None or self._serving.writer.check(events):
            await self._app(scope, _again(body, receive), send)
            return
        scope["route"] = _SEND
        try:
            position = await self._serving.writer.write(events)
        except Exception as error:
            await _refuse(error, scope, receive, send)
            return
        answer = {"accepted": len(events), "position": str(position)}
        await _answer(202, msgspec.json.encode(answer), send)


@functools.lru_cache(4_096)
def asking_of(query: bytes) -> tuple[Asking, str | None] | None:
    """Read a query string of k, model, explain and after, each at most once; None for any other.

    Of many users most ask alike.
    """
    given: dict[str, str] = {}
    for part in query.decode("latin-1").split("&") if query else ():
        name, _, value = part.partition("=")
        if name in given or not value or not _PLAIN.issuperset(value):
            return None
        given[name] = value
    k, model = given.pop("k", "10"), given.pop("model", None)
    explain, after = given.pop("explain", "false"), given.pop("after", None)
    plain_k = len(k) <= 3 and _DIGITS.issuperset(k) and k[0] != "0" and int(k) <= _MOST_K
    plain_texts = len(model or "") <= 100 and len(after or "") <= 2_000
    if given or not plain_k or not plain_texts or explain not in {"true", "false"}:
        return None
    return Asking(model=model, k=int(k), explain=explain == "true"), after


def events_of(body: bytes, key: str) -> list[WireEvent] | None:
    """Read a body of one event or several, with keys made from `key` where they have none; None for any other."""
    try:
        sent = _decode_several(body).events if body.startswith(b'{"events"') else [_decode_one(body)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    now_ms = time.time_ns() // 1_000_000
    events = []
    for at, one in enumerate(sent):
        if not (one.user.isprintable() and one.item.isprintable()):
            return None
        time_ms = now_ms if one.event_time_ms is None else one.event_time_ms
        events.append(
            WireEvent(
                user=one.user,
                item=one.item,
                kind=one.kind,
                rating=one.rating,
                event_time_ms=time_ms,
                key=one.key or f"{key}:{at}",
            )
        )
    return events


def _is_id(user: str) -> bool:
    return 0 < len(user) <= 256 and "/" not in user and user.isprintable()


def _plain_key(scope: Scope) -> str | None:
    """What keys of events are made from, for a body that says that it is JSON; None where there is any doubt."""
    kind, key = b"", None
    for name, value in scope["headers"]:
        if name == b"content-type":
            kind = value
        elif name == b"idempotency-key":
            if key is not None:
                return None
            key = value.decode("latin-1")
    if kind != _JSON or (key is not None and not 1 <= len(key) <= 200):
        return None
    return key or secrets.token_hex(16)


async def _whole(receive: Receive) -> bytes | None:
    """The body; None where the caller is gone."""
    message = await receive()
    if not message.get("more_body", False):
        body: bytes | None = message.get("body", b"") if message["type"] == "http.request" else None
        return body
    parts = [message["body"]]
    while message.get("more_body", False):
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
    return b"".join(parts)


def _again(body: bytes | None, receive: Receive) -> Receive:
    """Receive what was received, once more."""
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        if body is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again


async def _refuse(error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
    known = problem_of(error)
    if known is None:
        raise error
    await problem(Request(scope), known)(scope, receive, send)


async def _answer(status: int, body: bytes, send: Send) -> None:
    headers = [(b"content-length", b"%d" % len(body)), (b"content-type", _JSON)]
    start: dict[str, Any] = {"type": "http.response.start", "status": status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body})
