"""Metrics of GPUs: what is made of what `nvidia-smi` says; a stand-in for it speaks here."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from consumers import gpu_metrics
from consumers.gpu_metrics import GpuCollector, parsed

MIB = 1 << 20


def put_nvidia_smi(folder: Path, monkeypatch: pytest.MonkeyPatch, *lines: str, code: int = 0) -> Path:
    """A program of that name that says these lines, the only one on the PATH; it counts its calls in a file."""
    program = folder / "nvidia-smi"
    said = "".join(f"echo '{line}'\n" for line in lines)
    program.write_text(f"#!/bin/sh\necho \"$*\" >> '{folder}/calls'\n{said}exit {code}\n", "utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return folder / "calls"


def series(registry: CollectorRegistry) -> dict[tuple[str, str], float]:
    return {
        (sample.name, sample.labels["gpu"]): sample.value
        for family in registry.collect()
        for sample in family.samples
    }


def test_each_gpu_has_its_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = put_nvidia_smi(
        tmp_path, monkeypatch, "0, 50, 1024, 81920, 300.50, 61", "1, 0, 3, 81920, [N/A], [Not Supported]"
    )
    registry = CollectorRegistry()
    GpuCollector(registry)
    assert series(registry) == {
        ("engram_gpu_utilization_ratio", "0"): 0.5,
        ("engram_gpu_memory_bytes", "0"): 1024 * MIB,
        ("engram_gpu_memory_size_bytes", "0"): 81920 * MIB,
        ("engram_gpu_power_watts", "0"): 300.5,
        ("engram_gpu_temperature_celsius", "0"): 61,
        ("engram_gpu_utilization_ratio", "1"): 0,
        ("engram_gpu_memory_bytes", "1"): 3 * MIB,
        ("engram_gpu_memory_size_bytes", "1"): 81920 * MIB,
    }
    series(registry)
    # Asked once in some seconds, however often it is scraped.
    assert calls.read_text("utf-8").splitlines() == [
        "--query-gpu=index,utilization.gpu,memory.used,memory.total,power.draw,temperature.gpu "
        "--format=csv,noheader,nounits"
    ]


def test_without_a_gpu_there_are_no_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    registry = CollectorRegistry()
    GpuCollector(registry)
    assert series(registry) == {}


@pytest.mark.parametrize("lines", [("No devices were found",), ()])
def test_a_driver_that_fails_has_no_series(
    lines: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_nvidia_smi(tmp_path, monkeypatch, *lines, code=6)
    registry = CollectorRegistry()
    GpuCollector(registry)
    assert series(registry) == {}


def test_lines_that_are_no_gpus_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_nvidia_smi(tmp_path, monkeypatch, "No devices were found", "0, 1")
    registry = CollectorRegistry()
    GpuCollector(registry)
    assert series(registry) == {}


def test_a_program_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nexec /bin/sleep 60\n", "utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(gpu_metrics, "_TIMEOUT_S", 0.2)
    registry = CollectorRegistry()
    GpuCollector(registry)
    assert series(registry) == {}


def test_values_are_in_base_units() -> None:
    assert parsed("3, 100, 2, 4, 70, 35") == (
        "3",
        {
            "engram_gpu_utilization_ratio": 1.0,
            "engram_gpu_memory_bytes": 2 * MIB,
            "engram_gpu_memory_size_bytes": 4 * MIB,
            "engram_gpu_power_watts": 70.0,
            "engram_gpu_temperature_celsius": 35.0,
        },
    )
