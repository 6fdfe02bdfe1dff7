"""The registry of trainers: one line a batch model. A trainer takes a cut of the log and returns an artefact.

Tuners are the same for what lies between full trainings, where a model can be tuned.
"""

from __future__ import annotations

from typing import Protocol

from batch_models import item_factors
from eventlog.artefact import Artefact
from eventlog.cut import Cut


class Trainer(Protocol):
    """Trains on a cut and nothing else; the same cut and seed give an artefact of the same digest."""

    def __call__(self, cut: Cut, seed: int) -> Artefact:
        """Train; the artefact's name is the trainer's."""


class Tuner(Protocol):
    """Fits an artefact of an earlier cut to the events since, and to nothing else."""

    def __call__(self, cut: Cut, seed: int, before: Artefact) -> Artefact:
        """Tune; the artefact's name is the trainer's."""


def _ials(cut: Cut, seed: int) -> Artefact:
    from batch_models import ials_artefact  # needs torch, which the others do without

    return ials_artefact.train(cut, seed)


def _hybrid(cut: Cut, seed: int) -> Artefact:
    from batch_models import hybrid_artefact

    return hybrid_artefact.train(cut, seed)


def _tune_hybrid(cut: Cut, seed: int, before: Artefact) -> Artefact:
    from batch_models import hybrid_artefact

    return hybrid_artefact.tune(cut, seed, before)


TRAINERS: dict[str, Trainer] = {item_factors.NAME: item_factors.train, "ials": _ials, "hybrid": _hybrid}
TUNERS: dict[str, Tuner] = {"hybrid": _tune_hybrid}
