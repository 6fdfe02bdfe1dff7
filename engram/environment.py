"""Environment variables as settings: their names, and secrets, which may stand in files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from eventlog.errors import SettingsError

ENVIRONMENT_PREFIX: Final = "ENGRAM_"
SECRETS: Final = frozenset({"sasl_plain_password", "ssl_password"})
SECRET_FILE: Final = (
    "_FILE"  # ENGRAM_SSL_PASSWORD_FILE names a file that holds it, as secrets of containers are given
)
MASK: Final = "********"
_MOST_SECRET_BYTES: Final = 4096


def variable_name(name: str) -> str:
    """The environment variable of a setting."""
    return ENVIRONMENT_PREFIX + name.upper()


def with_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with each `ENGRAM_<SECRET>_FILE` replaced by the secret that the file holds.

    Raises `SettingsError` where there is none in it, and for a secret that is given twice.
    """
    found = dict(environment)
    for name in SECRETS:
        variable = variable_name(name)
        file = found.pop(variable + SECRET_FILE, "")
        if not file:
            continue
        if found.get(variable):
            raise SettingsError(
                f"{name} is given twice, expected one of {variable} and {variable}{SECRET_FILE}"
            )
        try:
            with Path(file).open("rb") as secret:
                text = secret.read(_MOST_SECRET_BYTES + 1).decode().rstrip("\r\n")
        except (OSError, UnicodeDecodeError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise SettingsError(
                f"environment variable {variable}{SECRET_FILE} is {file!r}, expected a file that holds {name}: {why}"
            ) from None
        if not text or len(text) > _MOST_SECRET_BYTES:
            raise SettingsError(
                f"environment variable {variable}{SECRET_FILE} is {file!r}, expected a file of 1 to "
                f"{_MOST_SECRET_BYTES} characters"
            )
        found[variable] = text
    return found
