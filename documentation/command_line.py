"""The reference of the command line, from the definitions of the commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer.main

from documentation.markdown import code, table, text
from engram.cli import app

_HEAD = """# Command line

Every command of `engram` with its options; `engram COMMAND --help` says the same. Most options are settings, which may also stand
in a file or in the environment: [settings](settings.md)."""


_HELP = re.compile(r"(.*?)(?: \[(?:default: ([^]]*)|[^]]*)\])?", re.DOTALL)


def page() -> str:
    """Render the page."""
    lines = _HEAD.splitlines()
    for name, command in sorted(_commands("engram", typer.main.get_command(app))):
        lines += ["", f"## {name}", "", *_usage(name, command), *_paragraphs(command.help or "")]
        for title, kind in (("argument", "argument"), ("option", "option")):
            rows = [_row(parameter) for parameter in command.params if _is(parameter, kind)]
            if rows:
                lines += ["", *table((title, "meaning", "default"), rows)]
    return "\n".join(lines) + "\n"


def _commands(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    """All commands that can be called, with their whole names; one that only holds others is none."""
    below = getattr(command, "commands", {})
    if not below or command.invoke_without_command:
        yield name, command
    for part, inner in below.items():
        if not inner.hidden:
            yield from _commands(f"{name} {part}", inner)


def _usage(name: str, command: Any) -> list[str]:
    words = [name]
    for parameter in command.params:
        if _is(parameter, "argument"):
            word = parameter.metavar or parameter.name.upper()
            word += "..." if parameter.nargs != 1 else ""
            words.append(word if parameter.required else f"[{word}]")
    return ["```text", " ".join([*words, "[OPTIONS]"]), "```", ""]


def _paragraphs(words: str) -> list[str]:
    paragraphs = words.strip().split("\n\n")
    return "\n\n".join(text(paragraph) for paragraph in paragraphs).splitlines()


def _is(parameter: Any, kind: str) -> bool:
    return not parameter.hidden and parameter.param_type_name == kind


def _row(parameter: Any) -> tuple[str, str, str]:
    names = [parameter.name.upper()]
    choices = parameter.metavar.split("|") if parameter.metavar and "|" in parameter.metavar else []
    if _is(parameter, "option"):
        names = [*parameter.opts, *parameter.secondary_opts]
        if parameter.metavar and not choices:
            names[0] += f" {parameter.metavar}"
    # A flag of a setting states its default, or the names that it takes, at the end of its help.
    found = _HELP.fullmatch(parameter.help or "")
    assert found is not None
    said, default = found.groups()
    if said != parameter.help and default is None:
        said += " [Their names](models.md)."
    else:
        said = text(said)
    if choices:
        said += " One of " + ", ".join(code(choice) for choice in choices) + "."
    return (
        ", ".join(code(name) for name in names),
        said,
        "required" if parameter.required else code(default or _default(parameter)),
    )


def _default(parameter: Any) -> str:
    default = parameter.default
    if (
        default is None
        or default is False
        or default == ()
        or not parameter.show_default
        or callable(default)
    ):
        return ""
    return str(default).lower() if isinstance(default, bool) else str(default)
