"""Errors as problem details: RFC 9457, `application/problem+json`."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from eventlog.errors import EngramError
from serving.positions import PositionError
from serving.question import UnknownError
from serving.writes import BusyError

MEDIA_TYPE = "application/problem+json"
_TITLES = {
    400: "Bad request",
    401: "No valid API key",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    411: "Length needed",
    413: "Too large",
    415: "Not JSON",
    421: "Another instance's user",
    422: "Not valid",
    429: "Too many requests",
    500: "Internal error",
    503: "Not ready",
    504: "Not learned in time",
}


class ProblemError(Exception):
    """To be answered as a problem."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: list[str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.errors, self.headers = status, detail, errors or [], headers or {}


def problem(request: Request, error: ProblemError) -> JSONResponse:
    """Make the answer."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": _TITLES.get(error.status, "Error"),
        "status": error.status,
        "detail": error.detail,
        "instance": request.url.path,
    }
    if error.errors:
        body["errors"] = error.errors
    return JSONResponse(body, error.status, error.headers, MEDIA_TYPE)


def problem_of(error: Exception) -> ProblemError | None:
    """The problem that an error of ours is answered as; None for any other."""
    match error:
        case ProblemError():
            return error
        case UnknownError():
            return ProblemError(404, str(error.args[0]))
        case PositionError():
            return ProblemError(422, str(error))
        case BusyError():
            wait = str(max(1, round(error.retry_after_s)))
            return ProblemError(429, str(error), headers={"Retry-After": wait})
        case EngramError():
            return ProblemError(503, str(error), headers={"Retry-After": "1"})
    return None


def answer_problems(app: FastAPI) -> None:
    """Make `app` answer every error as a problem."""

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers or {})
        if error.status_code == 405:
            # Starlette names the methods of one route; a path may have several.
            headers["Allow"] = ", ".join(_methods_of(app, request))
        return problem(request, ProblemError(error.status_code, str(error.detail), headers=headers))

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        errors = [_sentence(one) for one in error.errors()]
        return problem(request, ProblemError(422, "; ".join(errors)[:2_000], errors=errors[:100]))

    async def _ours(request: Request, error: Exception) -> JSONResponse:
        known = problem_of(error)
        assert known is not None
        return problem(request, known)

    for kind in (ProblemError, UnknownError, PositionError, BusyError, EngramError):
        app.add_exception_handler(kind, _ours)


def _methods_of(app: FastAPI, request: Request) -> list[str]:
    found: set[str] = set()
    for route in app.routes:
        matched, _ = route.matches(request.scope)
        if matched is not Match.NONE:
            found |= getattr(route, "methods", None) or set()
    return sorted(found)


def _sentence(error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"] if part not in {"body", "query", "path"})
    shown = repr(error.get("input"))[:80]
    return f"{place or 'body'} is {shown}: {error['msg']}"
