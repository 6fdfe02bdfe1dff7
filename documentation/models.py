"""The reference of the online models and their parameters, from their classes."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
from typing import Any

from documentation.markdown import code, table, text
from online_models.registry import DEFAULT_MODELS, MODELS

_HEAD = """# Models and their parameters

What `--model NAME` learns, and what `--param NAME.PARAMETER=VALUE` sets: names and defaults are those of the code, formulas stand at
the top of each module. How well they do: [comparison](../comparison.md); what they are: [ranking models](../models.md).
"""


def page() -> str:
    """Render the page."""
    lines = _HEAD.splitlines()
    for name, model in MODELS.items():
        module = importlib.import_module(model.__module__)
        lines += ["", f"## {name}", "", text((module.__doc__ or "").strip().split("\n\n")[0])]
        default = " One of the default models." if name in DEFAULT_MODELS else ""
        lines += ["", f"Module {code(model.__module__.replace('.', '/') + '.py')}.{default}"]
        config = model.config_type
        fields = dataclasses.fields(config)
        if not fields:
            lines += ["", "No parameters."]
            continue
        lines += ["", text(inspect.getdoc(config) or "")]
        rows = [(code(field.name), _kind(field.default), code(_value(field.default))) for field in fields]
        lines += ["", *table(("parameter", "value", "default"), rows)]
    return "\n".join(lines) + "\n"


def _kind(default: Any) -> str:
    kinds = {bool: "true or false", int: "whole number", float: "number", str: "text", tuple: "numbers"}
    return kinds[type(default)]


def _value(default: Any) -> str:
    return json.dumps(default)
