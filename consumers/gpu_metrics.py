"""What the GPUs of this machine do, as `nvidia-smi` says: series where there is one, and none elsewhere.

It is NVIDIA's own program, which the driver brings, and a container's runtime mounts; nothing is to be installed.
"""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from consumers.metric import Process
from consumers.metrics_table import metrics_of

_MIB: Final = 1 << 20
# Its names, and what a unit of each is in the table's.
_FIELDS: Final = {
    "engram_gpu_utilization_ratio": ("utilization.gpu", 0.01),
    "engram_gpu_memory_bytes": ("memory.used", _MIB),
    "engram_gpu_memory_size_bytes": ("memory.total", _MIB),
    "engram_gpu_power_watts": ("power.draw", 1.0),
    "engram_gpu_temperature_celsius": ("temperature.gpu", 1.0),
}
_TIMEOUT_S: Final = 5.0
MAX_AGE_S: Final = 5.0


class GpuCollector(Collector):
    """Asks `nvidia-smi` when it is scraped, at most every MAX_AGE_S seconds; one that fails or hangs has no series."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._program = shutil.which("nvidia-smi")
        self._help = {metric.name: metric.help for metric in metrics_of(Process.TRAINER)}
        self._said: dict[str, dict[str, float]] = {}
        self._said_at_s = float("-inf")
        self._asking = threading.Lock()
        registry.register(self)

    def describe(self) -> list[GaugeMetricFamily]:
        """Name the families without values."""
        return [GaugeMetricFamily(name, self._help[name], labels=("gpu",)) for name in _FIELDS]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Return what each GPU does."""
        with self._asking:
            if self._program is not None and time.monotonic() - self._said_at_s > MAX_AGE_S:
                self._said, self._said_at_s = _ask(self._program), time.monotonic()
            said = self._said
        for family in self.describe():
            for gpu, values in said.items():
                if family.name in values:
                    family.add_metric((gpu,), values[family.name])
            yield family


def _ask(program: str) -> dict[str, dict[str, float]]:
    """{number of a GPU: {metric: value}}; {} where it cannot be had."""
    names = ",".join(("index", *(name for name, _ in _FIELDS.values())))
    try:
        done = subprocess.run(
            [program, f"--query-gpu={names}", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    return dict(parsed(line) for line in done.stdout.splitlines() if line.count(",") == len(_FIELDS))


def parsed(line: str) -> tuple[str, dict[str, float]]:
    """Number of the GPU and values of one line; what it does not know (`[N/A]`, `[Not Supported]`) is left out."""
    gpu, *texts = (text.strip() for text in line.split(","))
    values = {}
    for (name, (_, unit)), text in zip(_FIELDS.items(), texts, strict=True):
        try:
            values[name] = float(text) * unit
        except ValueError:
            continue
    return gpu, values
