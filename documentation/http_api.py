"""The reference of the HTTP API, from its OpenAPI document."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any, cast

from documentation.markdown import code, table, text
from eventlog.event_checks import Limits
from serving.api import build_app
from serving.parts import Serving

_HEAD = """# HTTP API

Every request that `engram serve` answers, from its OpenAPI document: a running server has the same, to be tried, at `/docs`, and as
JSON at `/openapi.json`. How it is used: [the HTTP API](../api.md).
"""


def document() -> dict[str, Any]:
    """Return the OpenAPI document of an API that accepts ratings from 0 to 10, and stands on no learner."""
    parts = dict.fromkeys(field.name for field in dataclasses.fields(Serving))
    parts |= dict(
        version="reference",
        origins=(),
        writer=SimpleNamespace(limits=Limits(rating_min=0.0, rating_max=10.0)),
    )
    return build_app(cast(Serving, SimpleNamespace(**parts))).openapi()


def page() -> str:
    """Render the page."""
    described = document()
    lines = _HEAD.splitlines()
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            lines += ["", f"## {method.upper()} {path}", "", *_operation(operation)]
    lines += [
        "",
        "## Bodies",
        "",
        "What is sent and answered, as JSON. A field without a default is always there.",
    ]
    for name, schema in sorted(described["components"]["schemas"].items()):
        lines += ["", f"### {name}", "", *_schema(schema)]
    return "\n".join(lines) + "\n"


def _operation(operation: dict[str, Any]) -> list[str]:
    lines = [text(operation.get("description") or operation["summary"])]
    rows = []
    for parameter in operation.get("parameters", ()):
        schema = parameter["schema"]
        default = "required" if parameter.get("required") else _default(schema)
        said = text(parameter.get("description") or schema.get("description") or "")
        rows.append((code(parameter["name"]), parameter["in"], _kind(schema), said, default))
    if rows:
        lines += ["", *table(("parameter", "in", "value", "meaning", "default"), rows)]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if body:
        lines += ["", f"Body: {_kind(body['schema'])}."]
    answers, problems = [], []
    for status, response in operation["responses"].items():
        content: dict[str, Any] = next(iter(response.get("content", {}).values()), {})
        if content.get("schema", {}).get("$ref", "").endswith("/ProblemOut"):
            problems.append(f"{status} {response['description']}")
        else:
            answers.append(f"{code(status)} {_kind(content.get('schema', {}))}")
    lines += ["", "Answers " + ", ".join(answers) + "."]
    if problems:
        lines.append("Problems ([ProblemOut](#problemout)): " + ", ".join(sorted(problems)) + ".")
    return lines


def _schema(schema: dict[str, Any]) -> list[str]:
    lines = [text(schema["description"])] if schema.get("description") else []
    properties = schema.get("properties", {})
    required = schema.get("required", ())
    rows = []
    for name, part in properties.items():
        default = "required" if name in required and "default" not in part else _default(part)
        rows.append((code(name), _kind(part), text(part.get("description") or ""), default))
    if rows:
        lines += ["", *table(("field", "value", "meaning", "default"), rows)]
    elif "enum" in schema:
        lines += ["", _kind(schema)]
    return lines


def _kind(schema: dict[str, Any]) -> str:
    """A schema in a few words of Markdown."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    if "enum" in schema or "const" in schema:
        return ", ".join(code(str(value)) for value in schema.get("enum", (schema.get("const"),)))
    several = schema.get("anyOf") or schema.get("oneOf")
    if several and "type" not in schema:
        return " or ".join(_kind(part) for part in several if part.get("type") != "null")
    kind = schema.get("type", "")
    if kind == "array":
        return f"list of {_kind(schema.get('items', {}))}".strip()
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_kind(schema['additionalProperties'])}"
    bounds = [
        f"{word} {schema[key]:,}"
        for key, word in (
            ("minimum", "at least"), ("exclusiveMinimum", "above"), ("maximum", "at most"),
            ("exclusiveMaximum", "below"), ("minLength", "length at least"), ("maxLength", "length at most"),
        )
        if key in schema
    ]  # fmt: skip
    return ", ".join([kind, *bounds]) if kind else "any"


def _default(schema: dict[str, Any]) -> str:
    default = schema.get("default")
    return (
        ""
        if default in (None, "", [])
        else code(str(default).lower() if isinstance(default, bool) else str(default))
    )
