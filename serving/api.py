"""The HTTP API of a running learner: `build_app`. Routes only; what they ask of the state is in `questions`."""

from __future__ import annotations

import contextlib
import math
import secrets
import time
from typing import Annotated, Any, Final

from fastapi import FastAPI, Header, Path, Query, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.types import ASGIApp, Receive, Scope, Send

from eventlog.codec import WireEvent
from serving import bodies, questions
from serving.guard import Guard
from serving.hot_paths import HotPaths
from serving.insight import add_insight
from serving.link import AwayError
from serving.openapi import describe_as_it_is, problems
from serving.owners import SendOn
from serving.parts import Serving
from serving.problems import ProblemError, answer_problems
from serving.question import Lanes, MetricsText
from serving.questions import Asking
from serving.shown import ItemId, described, list_body, shown
from serving.writes import wire_error

STALLED_AFTER_S: Final = 60.0
_HEALTH: Final[dict[int | str, dict[str, Any]]] = {503: {"model": bodies.HealthOut}}
_ELSEWHERE: Final = problems(421) | {
    307: {"description": "Another instance has learned this user: ask there."}
}
User = Annotated[str, Path(min_length=1, max_length=256, pattern=bodies.NO_CONTROLS, examples=["196"])]


class _Fronted(FastAPI):
    """With what every request passes first before FastAPI's own layers, which cost as much as a hot path's answer."""

    front: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a request."""
        await self.front(scope, receive, send)

    async def behind(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one that has passed."""
        await super().__call__(scope, receive, send)


def build_app(serving: Serving) -> FastAPI:
    """Make the application. It starts and stops nothing: whoever made `serving` does."""
    app = _Fronted(
        title="Engram",
        version=serving.version,
        summary="Recommendations that learn from every event.",
        description="Send an event, and read a list that has learned it: give the position that the event was accepted at "
        "as `after`. Errors are problem details (RFC 9457).",
        responses=problems(401, 413, 422, 429, 503) | (_ELSEWHERE if serving.owners is not None else {}),
    )
    answer_problems(app)
    front: ASGIApp = HotPaths(app.behind, serving)
    if serving.owners is not None:
        front = SendOn(front, serving.owners)
    if serving.origins:
        front = CORSMiddleware(
            front,
            allow_origins=list(serving.origins),
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["*"],
        )
    app.front = Guard(front, serving)
    _add_writes(app, serving)
    _add_reads(app, serving)
    add_insight(app, serving)
    _add_operations(app, serving)
    describe_as_it_is(app, serving.writer.limits)
    return app


def _add_writes(app: FastAPI, serving: Serving) -> None:
    @app.post(
        "/v1/events",
        status_code=202,
        response_model=bodies.Accepted,
        tags=["events"],
        responses=problems(400, 411),
    )
    async def send_events(
        body: bodies.EventIn | bodies.EventsIn,
        idempotency_key: Annotated[str | None, Header(min_length=1, max_length=200)] = None,
    ) -> bodies.Accepted:
        """Accept one event, or several (all or none). They are in the log when this answers, and learned soon after."""
        sent = body.events if isinstance(body, bodies.EventsIn) else [body]
        base = idempotency_key or secrets.token_hex(16)
        return await _accept(serving, [_wire(event, f"{base}:{at}") for at, event in enumerate(sent)])

    @app.delete("/v1/users/{user}", status_code=202, response_model=bodies.Accepted, tags=["users"])
    async def forget_user(user: User) -> bodies.Accepted:
        """Forget a user: id, history, and every row that a model keeps. The log is not rewritten."""
        event = bodies.EventIn(user=user, item="", kind="forget_user")
        return await _accept(serving, [_wire(event, f"forget:{secrets.token_hex(16)}")])


def _wire(event: bodies.EventIn, key: str) -> WireEvent:
    return WireEvent(
        user=event.user,
        item=event.item,
        kind=event.kind,
        rating=event.rating,
        event_time_ms=time.time_ns() // 1_000_000 if event.event_time_ms is None else event.event_time_ms,
        key=event.key or key,
    )


async def _accept(serving: Serving, events: list[WireEvent]) -> bodies.Accepted:
    errors = [f"events[{at}]: {wire_error(error)}" for at, error in serving.writer.check(events)]
    if errors:
        raise ProblemError(422, f"{errors[0]} (nothing was accepted)", errors=errors)
    position = await serving.writer.write(events)
    return bodies.Accepted(accepted=len(events), position=str(position))


def _add_reads(app: FastAPI, serving: Serving) -> None:
    shelf = serving.shelf

    @app.get(
        "/v1/users/{user}/recommendations",
        response_model=bodies.RecommendationsOut,
        tags=["users"],
        responses=problems(404, 504),
    )
    async def recommend(
        user: User,
        k: Annotated[int, Query(ge=1, le=200)] = 10,
        model: Annotated[str | None, Query(max_length=100)] = None,
        genre: Annotated[list[str] | None, Query(max_length=20)] = None,
        year_from: Annotated[int | None, Query(ge=1, le=9999)] = None,
        year_to: Annotated[int | None, Query(ge=1, le=9999)] = None,
        seen: Annotated[bool, Query(description="items that the user has had, too")] = False,
        diversity: Annotated[float, Query(ge=0, le=1)] = 0.0,
        genre_coverage: bool = False,
        session: Annotated[float, Query(ge=0, le=1)] = 0.0,
        without: Annotated[list[str] | None, Query(max_length=200)] = None,
        explain: bool = False,
        after: Annotated[str | None, Query(max_length=2_000, examples=["0-1041"])] = None,
        after_timeout_s: Annotated[float | None, Query(gt=0, le=60)] = None,
    ) -> Any:
        """Recommend items, from the state of this moment, or from one that has learned `after`."""
        waited = await serving.passed(after, after_timeout_s)
        asking = Asking(
            model, k, tuple(genre or ()), year_from, year_to, seen, diversity, genre_coverage, session,
            tuple(without or ()), explain,
        )  # fmt: skip
        found = await serving.ask(questions.Recommendations(user, asking))
        return Response(list_body(found, waited, shelf, explain=explain), media_type="application/json")

    @app.get(
        "/v1/items/{item}/similar", response_model=bodies.SimilarOut, tags=["items"], responses=problems(404)
    )
    async def similar_items(
        item: ItemId,
        k: Annotated[int, Query(ge=1, le=200)] = 10,
        model: Annotated[str | None, Query(max_length=100)] = None,
    ) -> Any:
        """Items that fire together with one, strongest first."""
        found = await serving.ask(questions.Similar(item, k, model))
        return {
            "item": described(item, shelf.get(item)),
            "similar": [shown(one, shelf, explain=False) for one in found],
        }

    @app.get("/v1/items", response_model=bodies.FoundOut, tags=["items"])
    async def find_items(
        q: Annotated[
            str, Query(max_length=200, description="words of the title; none: what is popular now")
        ] = "",
        k: Annotated[int, Query(ge=1, le=200)] = 20,
    ) -> Any:
        """Find items by the beginnings of words of their titles."""
        if q.strip():
            return {"items": [described(one.item, one) for one in shelf.search(q, k)]}
        popular = await serving.ask(questions.BestItems(k))
        return {"items": [described(item, shelf.get(item)) for item in popular]}

    @app.get("/v1/users/{user}", response_model=bodies.UserOut, tags=["users"], responses=problems(504))
    async def show_user(
        user: User,
        after: Annotated[str | None, Query(max_length=2_000)] = None,
        after_timeout_s: Annotated[float | None, Query(gt=0, le=60)] = None,
    ) -> Any:
        """What the state knows of a user; one that is not known is no error."""
        await serving.passed(after, after_timeout_s)
        found = await serving.ask(questions.ProfileOf(user))
        return {
            "user": user,
            "known": found.known,
            "events": found.events,
            "learned_events": found.learned,
            "history": [
                one._asdict()
                | {"title": shelf.title(one.item), "rating": None if math.isnan(one.rating) else one.rating}
                for one in found.history
            ],
            "taste": found.genres,
            "mental_image": found.image,
            "strongest_synapses": [
                {
                    "pre": a,
                    "pre_title": shelf.title(a),
                    "post": b,
                    "post_title": shelf.title(b),
                    "weight": weight,
                }
                for a, b, weight in found.synapses
            ],
        }


def _add_operations(app: FastAPI, serving: Serving) -> None:
    live = serving.live

    @app.get("/healthz", response_model=bodies.HealthOut, responses=_HEALTH, tags=["operations"])
    async def healthz() -> Any:
        """200 while the learner's loop goes round, and while one that ended is started again."""
        silent_s = time.monotonic() - live.beaten_at_s
        fine = live.failure is None and silent_s < STALLED_AFTER_S
        return JSONResponse(
            {"status": "ok" if fine else "stalled", "silent_seconds": round(silent_s, 3)},
            200 if fine else 503,
        )

    @app.get("/readyz", response_model=bodies.HealthOut, responses=_HEALTH, tags=["operations"])
    async def readyz() -> Any:
        """200 once the learner answers."""
        try:
            await live.ask(Lanes(), 1.0)
        except (TimeoutError, AwayError):
            return JSONResponse({"status": "starting"}, 503)
        return {"status": "ready"}

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        said = generate_latest(serving.registry)
        # Without those of a learner that does not answer, the others are the more needed.
        with contextlib.suppress(TimeoutError, AwayError):
            said += await live.ask(MetricsText(), 1.0)
        return Response(said, media_type=CONTENT_TYPE_LATEST)
