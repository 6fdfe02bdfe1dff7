"""Batch models are tested on one thread: made data is too small for more.

Without torch they are skipped, which is a failure where continuous integration runs.
"""

from __future__ import annotations

import importlib.util
import os

import pytest

if os.environ.get("CI") == "true":
    import torch  # noqa: F401


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    if importlib.util.find_spec("torch") is not None:
        import torch

        torch.set_num_threads(1)
