"""Online models: arrays of state, numba kernels beside their model, and the registry of models.

Numba keeps compiled kernels by the file of the caller alone: after an edit or an update of one file, kernels of
others that call into it would stay as they were. So all of them are dropped when any source here has changed.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path


def _drop_stale_kernels(folder: Path) -> None:
    """Delete the compiled kernels beside these sources when they are of other sources."""
    sources = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        sources.update(path.read_bytes())
    cache = folder / "__pycache__"
    stamp = cache / "kernels.sha256"
    # A folder that cannot be written to is not edited either.
    with contextlib.suppress(OSError):
        if stamp.exists() and stamp.read_text() == sources.hexdigest():
            return
        for kernel in (*cache.glob("*.nbi"), *cache.glob("*.nbc")):
            kernel.unlink(missing_ok=True)
        cache.mkdir(exist_ok=True)
        stamp.write_text(sources.hexdigest())


_drop_stale_kernels(Path(__file__).parent)
