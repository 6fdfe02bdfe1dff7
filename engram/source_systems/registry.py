"""The experiments by name: what each reads, and where it is."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from engram.settings import Settings
from engram.source_systems.tables import ResultTable


class Asked(NamedTuple):
    """What an experiment is asked. folder: for what it writes in passing. pythons: {peer environment: interpreter}.

    small: on little data, for a test or a notebook: the same steps, a minute at most.
    """

    settings: Settings
    folder: Path
    pythons: dict[str, str]
    small: bool = False


class Experiment(NamedTuple):
    """about: one line. datasets: folders that it reads. module: in this package, with `run(Asked) -> [ResultTable]`.

    version: raised when the experiment changes, so that what was kept is measured again.
    """

    about: str
    datasets: tuple[str, ...]
    module: str
    version: int = 1


EXPERIMENTS: Final[dict[str, Experiment]] = {
    "neurorec": Experiment(
        "system 1: Hebbian users, MovieLens 100K, as graphs and then scored", ("ml-100k",), "neurorec"
    ),
    "hybrid-app": Experiment(
        "system 4: a hybrid's evaluation with an honest NDCG", ("ml-latest-small",), "hybrid_app", 2
    ),
    "weightless": Experiment(
        "system 5: a weightless network a user, The Movies Dataset", ("the-movies-dataset",), "weightless"
    ),
    "mlp": Experiment(
        "system 3: an MLP on ml-latest-small with popularity beside it", ("ml-latest-small",), "mlp"
    ),
    "neumf": Experiment("system 2: NeuMF with the metrics that it planned", ("ml-100k",), "neumf"),
    "leave-one-out": Experiment(
        "RecBole and our models, leave one out, on the same questions", ("ncf-ml-1m",), "leave_one_out_peers"
    ),
}


def runner(name: str) -> Callable[[Asked], list[ResultTable]]:
    """Return what runs an experiment."""
    module = importlib.import_module(f"engram.source_systems.{EXPERIMENTS[name].module}")
    found: Callable[[Asked], list[ResultTable]] = module.run
    return found
