"""The HTTP API of a running learner: `build_app`. Routes only; what they ask of the state is in `questions`."""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from fastapi import FastAPI, Header, Path, Query, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from eventlog.codec import WireEvent
from eventlog.errors import EventError
from eventlog.metadata import ItemMetadata
from serving import bodies, questions
from serving.access import MAX_BODY_BYTES, Keys, RateLimit
from serving.live_learner import LiveLearner
from serving.positions import Passed, parse_position
from serving.problems import ProblemError, answer_problems, problem
from serving.questions import Asking, Shown
from serving.red_metrics import RequestMetrics
from serving.shelf import Shelf
from serving.writes import EventWriter, wire_error

STALLED_AFTER_S: Final = 60.0
_OPEN: Final = ("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs")
User = Annotated[str, Path(min_length=1, max_length=256, examples=["196"])]
Item = Annotated[str, Path(min_length=1, max_length=256, examples=["242"])]


@dataclass(frozen=True, kw_only=True)
class Serving:
    """What the API stands on. answer_timeout_s: of a question to the state; after_timeout_s: of waiting for an event."""

    live: LiveLearner
    writer: EventWriter
    shelf: Shelf
    registry: CollectorRegistry
    version: str
    keys: Keys = field(default_factory=Keys)
    limit: RateLimit = field(default_factory=lambda: RateLimit(0.0, 1))
    origins: tuple[str, ...] = ()
    answer_timeout_s: float = 5.0
    after_timeout_s: float = 10.0


def build_app(serving: Serving) -> FastAPI:
    """Make the application. It starts and stops nothing: whoever made `serving` does."""
    app = FastAPI(
        title="Engram",
        version=serving.version,
        summary="Recommendations that learn from every event.",
        description="Send an event, and read a list that has learned it: give the position that the event was accepted at "
        "as `after`. Errors are problem details (RFC 9457).",
        responses={code: {"model": bodies.ProblemOut} for code in (401, 413, 422, 429, 503)},
    )
    answer_problems(app)
    if serving.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(serving.origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],
        )
    _guard(app, serving)
    _add_writes(app, serving)
    _add_reads(app, serving)
    _add_operations(app, serving)
    return app


def _guard(app: FastAPI, serving: Serving) -> None:
    """Keys, rates, sizes, and the RED metrics of every request."""
    measured = RequestMetrics(serving.registry)

    @app.middleware("http")
    async def guard(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        started_s = time.perf_counter()
        response = await _guarded(request, go_on, serving)
        route = request.scope.get("route")
        name = getattr(route, "path", "other")
        measured.observe(request.method, name, response.status_code, time.perf_counter() - started_s)
        return response


async def _guarded(
    request: Request, go_on: Callable[[Request], Awaitable[Response]], serving: Serving
) -> Response:
    if request.url.path in _OPEN:
        return await go_on(request)
    key = request.headers.get("x-api-key") or request.headers.get("authorization", "").removeprefix("Bearer ")
    if not serving.keys.allow(key):
        headers = {"WWW-Authenticate": "Bearer"}
        return problem(
            request,
            ProblemError(401, "expected a key, as X-API-Key or Authorization: Bearer", headers=headers),
        )
    caller = key or (request.client.host if request.client else "")
    if (wait_s := serving.limit.wait_s(caller)) > 0:
        retry = {"Retry-After": str(math.ceil(wait_s))}
        return problem(
            request, ProblemError(429, f"expected the next request in {wait_s:.2f} s", headers=retry)
        )
    length = request.headers.get("content-length", "")
    if request.method == "POST" and not length.isdigit():
        return problem(request, ProblemError(411, "expected a Content-Length"))
    if length.isdigit() and int(length) > MAX_BODY_BYTES:
        return problem(
            request, ProblemError(413, f"the body has {length} bytes, expected at most {MAX_BODY_BYTES:,}")
        )
    return await go_on(request)


def _add_writes(app: FastAPI, serving: Serving) -> None:
    @app.post("/v1/events", status_code=202, response_model=bodies.Accepted, tags=["events"])
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
    errors = []
    for at, event in enumerate(events):
        try:
            serving.writer.check(event)
        except EventError as error:
            errors.append(f"events[{at}]: {wire_error(error)}")
    if errors:
        raise ProblemError(422, f"{errors[0]} (nothing was accepted)", errors=errors)
    position = await serving.writer.write(events)
    return bodies.Accepted(accepted=len(events), position=str(position))


def _add_reads(app: FastAPI, serving: Serving) -> None:
    shelf = serving.shelf

    async def ask(question: Any) -> Any:
        try:
            return await serving.live.reads.ask(question, serving.answer_timeout_s)
        except TimeoutError:
            raise ProblemError(
                503,
                f"the learner did not answer in {serving.answer_timeout_s:g} s",
                headers={"Retry-After": "1"},
            ) from None
        except ValueError as error:
            raise ProblemError(422, str(error)) from None

    async def passed(after: str | None, timeout_s: float | None) -> Passed | None:
        if after is None:
            return None
        position = parse_position(after)
        try:
            return await serving.live.positions.wait(position, timeout_s or serving.after_timeout_s)
        except TimeoutError:
            at = ".".join(f"{p}-{offset}" for p, offset in sorted(serving.live.positions.at.items()))
            raise ProblemError(
                504, f"position {after} is not learned yet; the learner stands before {at}"
            ) from None

    @app.get("/v1/users/{user}/recommendations", response_model=bodies.RecommendationsOut, tags=["users"])
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
        waited = await passed(after, after_timeout_s)
        asking = Asking(
            model, k, tuple(genre or ()), year_from, year_to, seen, diversity, genre_coverage, session,
            tuple(without or ()), explain,
        )  # fmt: skip
        found = await ask(questions.recommendations(user, asking))
        # Plain objects: checked against the schema in tests, not at each answer.
        return JSONResponse(
            {
                "user": user,
                "model": found.model,
                "cold": found.cold,
                "user_events": found.events,
                "learned_events": found.learned,
                "after": waited._asdict() if waited is not None else None,
                "items": [_shown(one, shelf, explain=explain) for one in found.items],
            }
        )

    @app.get("/v1/items/{item}/similar", response_model=bodies.SimilarOut, tags=["items"])
    async def similar_items(
        item: Item,
        k: Annotated[int, Query(ge=1, le=200)] = 10,
        model: Annotated[str | None, Query(max_length=100)] = None,
    ) -> Any:
        """Items that fire together with one, strongest first."""
        found = await ask(questions.similar(item, k, model))
        return {
            "item": _described(item, shelf.get(item)),
            "similar": [_shown(one, shelf, explain=False) for one in found],
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
            return {"items": [_described(one.item, one) for one in shelf.search(q, k)]}
        popular = await ask(lambda streams: questions.best_items(streams, k))
        return {"items": [_described(item, shelf.get(item)) for item in popular]}

    @app.get("/v1/users/{user}", response_model=bodies.UserOut, tags=["users"])
    async def show_user(
        user: User,
        after: Annotated[str | None, Query(max_length=2_000)] = None,
        after_timeout_s: Annotated[float | None, Query(gt=0, le=60)] = None,
    ) -> Any:
        """What the state knows of a user; one that is not known is no error."""
        await passed(after, after_timeout_s)
        found = await ask(questions.profile(user))
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

    @app.get("/v1/models", response_model=bodies.ModelsOut, tags=["models"])
    async def list_models() -> Any:
        """Which models are learned."""
        found = await ask(questions.models)
        own = [name for name, of in found.items() if of["ranks"] and name not in questions.FLOORS]
        ranking = [name for name, of in found.items() if of["ranks"]]
        return {
            "default": next(iter(own or ranking), None),
            "models": [{"name": name, **of} for name, of in found.items()],
        }

    @app.get("/v1/metrics/prequential", response_model=bodies.PrequentialOut, tags=["models"])
    async def prequential() -> Any:
        """How well each model has predicted, before it learned them, the events so far."""
        if serving.live.evaluator is None:
            raise ProblemError(404, "no evaluator runs here, expected one started with --evaluate")
        return await ask(lambda _: questions.prequential(serving.live.evaluator))


def _described(item: str, known: ItemMetadata | None) -> dict[str, Any]:
    if known is None:
        return {"item": item, "title": item, "year": None, "genres": []}
    return {"item": item, "title": known.title, "year": known.year, "genres": list(known.genres)}


def _shown(one: Shown, shelf: Shelf, *, explain: bool) -> dict[str, Any]:
    shown = _described(one.item, shelf.get(one.item)) | {
        "score": one.score,
        "rank": one.rank,
        "popularity": one.popularity,
        "like_one_above": one.nearest,
        "because": [
            {
                "item": why.item,
                "title": shelf.title(why.item),
                "weight": why.weight,
                "share": why.share,
                "rated_at_ms": why.event_time_ms,
            }
            for why in one.because
        ],
        "text": None,
    }
    if explain:
        shown["text"] = in_words(one, shelf)
    return shown


def in_words(one: Shown, shelf: Shelf) -> str:
    """The reasons for an item, in one sentence; each number is in the state."""
    had = f"{one.popularity:,} users had it"
    if not one.because:
        return f"Popular: {had}. Nothing that you rated is wired to it yet."
    first = one.because[0]
    when = time.strftime("%B %Y", time.gmtime(first.event_time_ms / 1000))
    names = " and ".join(shelf.title(why.item) for why in one.because[:2])
    strength = f"{first.weight:.1f} fresh co-activations"
    return (
        f"Because you rated {names}. {shelf.title(first.item)} (rated in {when}) is wired to it as strongly as {strength}, "
        f"{100 * first.share:.0f} % of all that speaks for it. {had[0].upper()}{had[1:]}."
    )


def _add_operations(app: FastAPI, serving: Serving) -> None:
    @app.get("/healthz", response_model=bodies.HealthOut, tags=["operations"])
    async def healthz() -> Any:
        """200 while the learner's loop goes round."""
        silent_s = time.monotonic() - serving.live.beaten_at_s
        fine = serving.live.alive and silent_s < STALLED_AFTER_S
        return JSONResponse(
            {"status": "ok" if fine else "stalled", "silent_seconds": round(silent_s, 3)},
            200 if fine else 503,
        )

    @app.get("/readyz", response_model=bodies.HealthOut, tags=["operations"])
    async def readyz() -> Any:
        """200 once the learner answers."""
        try:
            await serving.live.reads.ask(len, 1.0)
        except (TimeoutError, asyncio.CancelledError):
            return JSONResponse({"status": "starting"}, 503)
        return {"status": "ready"}

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(serving.registry), media_type=CONTENT_TYPE_LATEST)
