"""The reference of the settings, from their class."""

from __future__ import annotations

import json
from typing import Any, get_args

from documentation.markdown import code, table, text
from engram.environment import SECRETS, variable_name
from engram.settings import FIELDS, choices_of, description, flag_name, is_repeatable, kind_of

_HEAD = """# Settings

A setting is given as a flag, in the environment, or in a TOML file (`--config FILE`, else `engram.toml` in the working folder). A
flag counts before the environment, the environment before the file, the file before the default. An unknown name, or a value
out of its range, is an error that says what was expected. Which commands take a flag: [command line](command-line.md).

```toml
log = "kafka"
kafka = "localhost:9092"
models = ["popularity", "blend"]

[model.blend]
half_life_events = 100000
```

In the environment lists are separated by commas: `ENGRAM_MODELS=popularity,blend`. Secrets have no flag; `ENGRAM_SSL_PASSWORD_FILE` and
`ENGRAM_SASL_PLAIN_PASSWORD_FILE` name files that hold them. Parameters of models: [models](models.md).
"""
_KINDS = {int: "whole number", float: "number", bool: "true or false", str: "text", tuple: "list of texts"}


def page() -> str:
    """Render the page."""
    rows = []
    for name, field in FIELDS.items():
        flag = "" if name in SECRETS else code(flag_name(name))
        names = ", ".join(filter(None, (code(name), flag, code(variable_name(name)))))
        default = "" if field.default in (None, ()) else code(json.dumps(field.default))
        rows.append((names, text(description(name)), _range(name), default))
    return (
        _HEAD + "\n" + "\n".join(table(("name, flag, variable", "meaning", "value", "default"), rows)) + "\n"
    )


def _range(name: str) -> str:
    """What the setting takes, in words."""
    choices = choices_of(name)
    if choices:
        return ", ".join(code(choice) for choice in choices)
    kind = _KINDS[tuple if is_repeatable(name) else kind_of(name)]
    bounds = [f"{word} {value:,}" for word, value in _bounds(FIELDS[name].type)]
    return ", ".join([kind, *bounds])


def _bounds(annotated: Any) -> list[tuple[str, Any]]:
    """Bounds of a type, those of the parts of a union too."""
    found = []
    for meta in getattr(annotated, "__metadata__", ()):
        for attribute, word in (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below")):
            value = getattr(meta, attribute, None)
            if value is not None:
                found.append((word, value))
    for part in get_args(annotated):
        if part is not annotated and not isinstance(part, str):
            found += _bounds(part)
    return found
