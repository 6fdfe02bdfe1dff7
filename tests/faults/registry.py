"""Every fault that is tried: the safe ones, and those that need a broker, a disk or a clock of their own."""

from __future__ import annotations

from chaos import calls, checkpoints, inputs, processes
from chaos.fault import Fault

ALL: tuple[Fault, ...] = (*processes.FAULTS, *calls.FAULTS, *checkpoints.FAULTS, *inputs.FAULTS)
