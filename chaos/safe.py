"""The faults that a user's own test cluster may be tried with: on topics and processes that are made for them."""

from __future__ import annotations

from chaos import calls, checkpoints, inputs, processes, rebalances
from chaos.fault import Fault

FAULTS: tuple[Fault, ...] = tuple(
    fault
    for fault in (
        *processes.FAULTS,
        *calls.FAULTS,
        *checkpoints.FAULTS,
        *inputs.FAULTS,
        *rebalances.FAULTS,
    )
    if fault.safe
)
