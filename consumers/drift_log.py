"""The drifts that a lane's predictions carried, as the evaluator keeps them: all counted, the newest listed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from online_models.drift import Drift

KEPT: Final = 1_000


class DriftLog:
    """Drifts of one lane, in order. kept: the newest `KEPT`."""

    def __init__(self) -> None:
        self.kept: list[Drift] = []
        self._counts: dict[tuple[str, str], int] = {}

    @property
    def counts(self) -> Mapping[tuple[str, str], int]:
        """{(model, detector): drifts}, of all, without those that there were none of."""
        return self._counts

    @staticmethod
    def check(drifts: Iterable[Drift], first_seq: int, n: int) -> None:
        """Raise `ValueError` for a drift that is not at the end of one of events [first_seq, first_seq + n)."""
        for drift in drifts:
            if not first_seq < drift.at <= first_seq + n:
                raise ValueError(
                    f"drift is at {drift.at}, expected more than {first_seq} and {first_seq + n} at most"
                )

    def update(self, drifts: Iterable[Drift]) -> None:
        """Take the drifts of the next events."""
        for drift in drifts:
            key = (drift.model, drift.detector)
            self._counts[key] = self._counts.get(key, 0) + 1
            self.kept.append(drift)
        del self.kept[:-KEPT]

    def meta(self) -> dict[str, Any]:
        """Return the state, JSON-able."""
        return {
            "kept": [list(drift) for drift in self.kept],
            "counts": [[*key, count] for key, count in sorted(self._counts.items())],
        }

    def restore(self, meta: Mapping[str, Any]) -> None:
        """Become what `meta()` gave."""
        self.kept = [Drift(*drift) for drift in meta["kept"]]
        self._counts = {(model, detector): count for model, detector, count in meta["counts"]}


def drifts_of(lanes: Mapping[int, DriftLog]) -> dict[str, Any]:
    """Return what result.json says of drift: how often each model drifted, and the drifts that are kept."""
    counts: dict[tuple[str, str], int] = {}
    for log in lanes.values():
        for key, count in log.counts.items():
            counts[key] = counts.get(key, 0) + count
    return {
        "counts": [
            {"model": model, "detector": detector, "drifts": count}
            for (model, detector), count in sorted(counts.items())
        ],
        "events": [
            {"lane": lane, **drift._asdict()} for lane, log in sorted(lanes.items()) for drift in log.kept
        ],
    }


def newest(logs: Sequence[DriftLog]) -> list[Drift]:
    """Return the kept drifts of several lanes, in order of `at`."""
    return sorted((drift for log in logs for drift in log.kept), key=lambda drift: drift.at)
