"""Every fault that is tried: the safe ones, and those that need a broker, a disk or a clock of their own."""

from __future__ import annotations

from chaos import safe
from chaos.fault import Fault
from tests.faults import brokers, machine, trainer_victim

ALL: tuple[Fault, ...] = (
    *safe.FAULTS,
    *trainer_victim.FAULTS,
    *machine.FAULTS,
    *brokers.FAULTS,
)
