"""Versions that a figure depends on, for reports."""

from __future__ import annotations

import platform
from importlib import metadata

_PACKAGES = ("engram-stream", "numpy", "numba", "msgspec", "kafka-python")


def versions() -> dict[str, str]:
    """{package: version}, with Python's own."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "unknown"
    return found
