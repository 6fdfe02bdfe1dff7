"""What became of versions of batch models in a lane: said with the predictions, kept by the evaluator, shown in reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from eventlog import errors

ADOPTED: Final = "adopted"
REFUSED: Final = "refused"
PROMOTED: Final = "promoted"
ROLLED_BACK: Final = "rolled_back"
STEPS: Final = (ADOPTED, REFUSED, PROMOTED, ROLLED_BACK)
REASONS: Final = tuple(
    kind.reason
    for kind in (
        errors.ArtefactTornError,
        errors.ArtefactCorruptError,
        errors.ArtefactNewerError,
        errors.ArtefactMismatchError,
        errors.ArtefactError,
    )
)
KEPT: Final = 1_000


class Step(NamedTuple):
    """Before event `at` (a lane_seq), online model `model` took this version, or refused it.

    step: one of `STEPS`; `promoted` is said of the champion, `rolled_back` of the challenger. name: of the batch model.
    """

    at: int
    model: str
    step: str
    name: str
    version: int


class StepLog:
    """Steps of one lane, in order. kept: the newest `KEPT`."""

    def __init__(self, kept: Iterable[Iterable[Any]] = ()) -> None:
        self.kept = [Step(*step) for step in kept]

    @staticmethod
    def check(steps: Iterable[Step], first_seq: int, n: int) -> None:
        """Raise `ValueError` for a step that is not before one of events [first_seq, first_seq + n)."""
        for step in steps:
            if not first_seq <= step.at < first_seq + n:
                raise ValueError(
                    f"step {step.step} is before event {step.at}, expected one of {first_seq} to {first_seq + n - 1}"
                )

    def update(self, steps: Iterable[Step]) -> None:
        """Take the steps of the next events."""
        self.kept.extend(steps)
        del self.kept[:-KEPT]


def steps_of(lanes: Mapping[int, StepLog]) -> list[dict[str, Any]]:
    """Return what result.json says of them."""
    return [{"lane": lane, **step._asdict()} for lane, log in sorted(lanes.items()) for step in log.kept]
