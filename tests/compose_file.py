"""docker-compose.yml as compose reads it: variables filled in, and what a service starts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
FILE = ROOT / "docker-compose.yml"
_VARIABLE = re.compile(r"\$\{([A-Z_]+):-([^}]*)\}")


def read_compose(environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the file with ${NAME:-default} filled in, the only form that it uses."""
    given = environment or {}
    text = _VARIABLE.sub(lambda match: given.get(match[1]) or match[2], FILE.read_text("utf-8"))
    assert "${" not in text, "only ${NAME:-default} is used in the file"
    read: dict[str, Any] = yaml.safe_load(text)
    for service in read["services"].values():
        if "command" in service:
            service["command"] = [str(argument) for argument in service["command"]]
    return read


def services_of(compose: Mapping[str, Any], *profiles: str) -> dict[str, Any]:
    """Return the services that `docker compose --profile ... up` starts."""
    return {
        name: service
        for name, service in compose["services"].items()
        if not service.get("profiles") or set(service["profiles"]) & set(profiles)
    }


def environment_of(service: Mapping[str, Any]) -> dict[str, str]:
    """The environment that a service is started with; a variable that is empty here is empty there."""
    return {name: "" if value is None else str(value) for name, value in service["environment"].items()}


def is_ours(service: Mapping[str, Any]) -> bool:
    """Whether a service runs `engram`."""
    return str(service["image"]).split(":")[0] == "engram"
