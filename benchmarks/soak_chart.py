"""What a soak looked like: memory, lag, age of what is learned, and the slope of memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from benchmarks.soak import Sample

WARM_S = 60.0
COLOURS = {"producer": "#b07a1e", "learner": "#2462a8", "evaluator": "#2f8f5b"}


def memory_slope(samples: Sequence[Sample], role: str) -> float | None:
    """MiB per million events: ordinary least squares with an intercept for each life; None without two points.

    Each life's first `WARM_S` seconds are left out: imports, kernels and the restored state are no growth.
    """
    begun: dict[int, float] = {}
    lives: dict[int, list[tuple[float, float]]] = {}
    for one in samples:
        if role not in one.life or np.isnan(one.learned) or np.isnan(one.mib[role]):
            continue
        life = one.life[role]
        if one.at_s - begun.setdefault(life, one.at_s) >= WARM_S:
            lives.setdefault(life, []).append((one.learned / 1e6, one.mib[role]))
    # Centred within each life, the slope of the pooled points is that with an intercept for each.
    centred = [np.array(points) - np.mean(points, axis=0) for points in lives.values() if len(points) > 1]
    if not centred:
        return None
    x, y = np.concatenate(centred).T
    spread = float(x @ x)
    return float(x @ y) / spread if spread else None


def draw(samples: Sequence[Sample], faults: Sequence[tuple[float, str]], path: Path) -> None:
    """Draw memory, lag, age and rate over minutes, with the faults as marks, to a PNG file."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    minutes = np.array([one.at_s for one in samples]) / 60
    learned = np.array([one.learned for one in samples])
    figure, axes = plt.subplots(4, 1, figsize=(11, 11), sharex=True, constrained_layout=True)
    for role, colour in COLOURS.items():
        mib = [one.mib.get(role, np.nan) for one in samples]
        slope = memory_slope(samples, role)
        text = "no slope" if slope is None else f"{slope:+.2f} MiB per million events"
        axes[0].plot(minutes, mib, color=colour, label=f"{role}: {text}")
    axes[0].set_ylabel("resident memory, MiB")
    axes[0].set_ylim(bottom=0)
    axes[0].legend(loc="lower right", fontsize=8)
    axes[1].plot(minutes, [one.lag_events for one in samples], color=COLOURS["learner"])
    axes[1].set_ylabel("messages not yet learned")
    axes[2].plot(minutes, [one.age_s for one in samples], color=COLOURS["learner"], label="learner")
    axes[2].plot(
        minutes, [one.evaluated_age_s for one in samples], color=COLOURS["evaluator"], label="evaluator"
    )
    axes[2].set_ylabel("age of the newest event done, s")
    axes[2].set_yscale("symlog", linthresh=1.0)
    axes[2].legend(fontsize=8)
    rate = np.diff(learned) / np.maximum(np.diff(minutes) * 60, 1e-9)
    axes[3].plot(minutes[1:], np.maximum(rate, 0), color=COLOURS["learner"])
    axes[3].set_ylabel("events learned a second")
    axes[3].set_xlabel("minutes")
    for axis in axes:
        axis.grid(alpha=0.25)
        for at, _ in faults:
            axis.axvline(at / 60, color="#c0392b", linewidth=0.6, alpha=0.6)
    for at, name in faults:
        axes[0].text(
            at / 60,
            axes[0].get_ylim()[1],
            name,
            rotation=90,
            fontsize=6,
            va="top",
            ha="right",
            color="#c0392b",
        )
    figure.savefig(path, dpi=110)
    plt.close(figure)
