"""Processor time, memory and files of each process of an API, told apart by a label."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from prometheus_client import Metric, ProcessCollector
from prometheus_client.registry import Collector

_LABEL: Final = "process"


class Processes(Collector):
    """What the client library says of a process, of several. pids: {name: id, None while there is none}."""

    def __init__(self, pids: Mapping[str, Callable[[], int | None]]) -> None:
        self._pids = pids

    def collect(self) -> Iterator[Metric]:
        """Yield each measure, of all processes that run."""
        found: dict[str, Metric] = {}
        for name, pid_of in self._pids.items():
            pid = pid_of()
            if pid is None:
                continue
            for of_one in ProcessCollector(pid=functools.partial(int, pid), registry=None).collect():
                of_all = found.setdefault(of_one.name, Metric(of_one.name, of_one.documentation, of_one.type))
                for sample in of_one.samples:
                    of_all.add_sample(sample.name, {**sample.labels, _LABEL: name}, sample.value)
        yield from found.values()
