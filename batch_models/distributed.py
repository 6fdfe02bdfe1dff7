"""Several processes that fit one model in step, started by `torchrun --nproc-per-node N -m engram train ...`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence

import torch
import torch.distributed
from torch import Tensor, nn


@contextlib.contextmanager
def group() -> Iterator[int]:
    """Join the processes that torchrun has started, if it has; yields this one's rank, 0 for one alone."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield 0
        return
    torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield rank()
    finally:
        torch.distributed.destroy_process_group()


def size() -> int:
    """How many processes there are."""
    return torch.distributed.get_world_size() if _joined() else 1


def rank() -> int:
    """Which of them this is, from 0 on."""
    return torch.distributed.get_rank() if _joined() else 0


def wait() -> None:
    """Wait until all processes are here."""
    if _joined():
        torch.distributed.barrier()


def add_up(parameters: Sequence[nn.Parameter], loss: Tensor) -> Tensor:
    """Let gradients be the sums of all processes' ones, by one message; returns the sum of losses."""
    learned = [one for one in parameters if one.requires_grad]
    gradients = [torch.zeros_like(one) if one.grad is None else one.grad for one in learned]
    flat = torch.cat([*(gradient.reshape(-1).float() for gradient in gradients), loss.reshape(1).float()])
    torch.distributed.all_reduce(flat)
    place = 0
    for one in learned:
        one.grad = flat[place : place + one.numel()].view_as(one).to(one.dtype)
        place += one.numel()
    return flat[-1]


def _joined() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
