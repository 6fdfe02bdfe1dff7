"""The drifts that a lane's predictions carried, as the evaluator keeps them: all counted, the newest listed.

`DriftFollower` is for what waits for them, such as a training: it reads the predictions topic as it grows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import msgspec

from consumers.predictions import PredictionBlock, decode_prediction
from eventlog.errors import PredictionsError
from eventlog.log import Log
from online_models.drift import Drift

KEPT: Final = 1_000
_BLOCKS_A_POLL: Final = 64


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


class LaneDrift(NamedTuple):
    """A drift, and the lane in which it was noticed. (lane, drift.at, drift.model) is its identity."""

    lane: int
    drift: Drift


class DriftFollower:
    """Follows the drifts of a predictions topic, each told once, also where a restarted learner said it again.

    after: {lane: `at` of the newest drift that was acted on}; those up to it are left out, so whoever keeps these
    numbers can go on after an interruption. Raises `TopicMissingError`.
    """

    def __init__(self, log: Log, topic: str, *, after: Mapping[int, int] | None = None) -> None:
        self._reader = log.reader(topic, list(range(log.partition_count(topic))))
        self._after = dict(after or {})

    def poll(self, timeout_s: float) -> list[LaneDrift]:
        """Return the drifts in what the log has next, waiting at most `timeout_s` for anything; in order, per lane.

        None found does not mean that there are no more. Raises `PredictionsError` for an unreadable message, and
        `OffsetGoneError` when the log no longer retains what comes next.
        """
        found = []
        for batch in self._reader.poll(_BLOCKS_A_POLL, timeout_s):
            for offset, value in zip(batch.offsets, batch.values, strict=True):
                try:
                    message = decode_prediction(value or b"")
                except (msgspec.DecodeError, ValueError) as error:
                    where = f"{batch.topic}/{batch.partition} at {offset}"
                    raise PredictionsError(f"{where}: not a prediction block or summary: {error}") from error
                if isinstance(message, PredictionBlock):
                    found += self._fresh(message)
        return found

    def _fresh(self, block: PredictionBlock) -> list[LaneDrift]:
        known = self._after.get(block.lane, 0)
        fresh = [LaneDrift(block.lane, drift) for drift in block.drifts if drift.at > known]
        if fresh:
            self._after[block.lane] = fresh[-1].drift.at
        return fresh

    def close(self) -> None:
        """Release the reader."""
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
