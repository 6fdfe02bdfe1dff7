"""How Prometheus finds several processes on one machine: each says its address in a folder (`file_sd_configs`).

A file is there as long as its process: one that has ended is not missed, and one that was killed is, until its service
is started again.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def announced(folder: Path, service: str, address: str) -> Iterator[Path]:
    """Say in `folder` that `service` is scraped at `address` (HOST:PORT), for as long as the block takes.

    Files that killed processes of this service left are removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f"engram-{service}-*.json"):
        number = left.stem.rpartition("-")[2]
        if number.isdigit() and not _lives(int(number)):
            left.unlink(missing_ok=True)
    path = folder / f"engram-{service}-{os.getpid()}.json"
    said = [{"targets": [address], "labels": {"job": f"engram-{service}"}}]
    part = path.with_suffix(".part")
    part.write_text(json.dumps(said) + "\n", "utf-8")
    part.replace(path)  # Prometheus never reads half of it
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
