"""The API's description of itself (OpenAPI): what FastAPI writes, with problems and the rating scale as they are."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from eventlog.event_checks import Limits
from serving import bodies
from serving.problems import MEDIA_TYPE

_PROBLEM: Final = "#/components/schemas/ProblemOut"


def problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    """The responses of a route that may answer these problems."""
    return {code: {"model": bodies.ProblemOut} for code in codes}


def describe_as_it_is(app: FastAPI, limits: Limits) -> None:
    """Make `app` describe its problems by their own media type, and the ratings that it accepts by their scale."""

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title,
                version=app.version,
                summary=app.summary,
                description=app.description,
                routes=app.routes,
            )
            for operations in document["paths"].values():
                for operation in operations.values():
                    for response in operation["responses"].values():
                        _name_problem(response)
            _name_scale(document, limits)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]


def _name_problem(response: dict[str, Any]) -> None:
    content = response.get("content", {})
    if content.get("application/json", {}).get("schema", {}).get("$ref") == _PROBLEM:
        content[MEDIA_TYPE] = content.pop("application/json")


def _name_scale(document: dict[str, Any], limits: Limits) -> None:
    """A rating must be there for kind rating, which is the default, and within the scale."""
    event = document["components"]["schemas"]["EventIn"]
    for form in event["properties"]["rating"]["anyOf"]:
        if form.get("type") == "number":
            form["minimum"], form["maximum"] = limits.rating_min, limits.rating_max
    other = ["view", "click", "retract", "forget_user"]
    event["anyOf"] = [
        {"required": ["rating"], "properties": {"rating": {"type": "number"}}},
        {"required": ["kind"], "properties": {"kind": {"enum": other}}},
    ]
