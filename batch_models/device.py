"""Where and how torch computes: the device, its threads, mixed precision, seeds."""

from __future__ import annotations

import contextlib
import os
from typing import Final

import torch

AUTO: Final = "auto"


def pick_device(name: str = AUTO) -> torch.device:
    """Return the named device, or the best there is: cuda, mps, cpu. Raises `ValueError` for one that is not there."""
    if name == AUTO:
        if torch.cuda.is_available():
            return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device is {name!r}, expected one that is here: {reason}") from None
    return device


def use_threads(threads: int | None = None) -> int:
    """Let torch compute with so many threads, None for the processors that this process may use; return how many.

    Torch itself takes all processors of the machine, which in a container are often more than there are.
    """
    count = (
        threads or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    torch.set_num_threads(count)
    return count


def mixed_precision(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """A context in which matrix products are of bfloat16 where the device is quick at it, else of float32."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.autocast("cuda", torch.bfloat16)
    return contextlib.nullcontext()


def peak_memory_bytes(device: torch.device) -> int | None:
    """Most memory that tensors took on a CUDA device so far; None elsewhere."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
