"""The synapses of a run at a moment: from a checkpoint of its learner."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from consumers.checkpoint import Checkpoint, CheckpointStore
from consumers.lane_config import LaneConfig
from consumers.lane_rows import under
from eventlog.errors import CheckpointCorruptError, CheckpointMismatchError, SettingsError
from online_models.ids import IdTable
from online_models.model import Model
from online_models.registry import MODELS
from online_models.synapse_view import SynapseView

_TRIES = 3  # a running learner deletes what an older checkpoint alone refers to
_NEVER_MS = np.iinfo(np.int64).min


class Snapshot(NamedTuple):
    """Synapses after `events` events. ids: of each neuron, "" for a forgotten one.

    last_ms: int64[n], event time of each neuron's last event (`_NEVER_MS`, the least int64, where there is none).
    """

    events: int
    view: SynapseView
    ids: tuple[str, ...]
    last_ms: NDArray[np.int64]

    def row(self, neuron: str) -> int:
        """Row of the neuron `neuron`. Raises `SettingsError` for one that is unknown."""
        if not neuron or neuron not in self.ids:
            kind, known = self.view.neurons, len(self.ids)
            raise SettingsError(
                f"{kind} is {neuron!r}, expected the id of one of the {known:,} {kind}s that were seen in the first "
                f"{self.events:,} events"
            )
        return self.ids.index(neuron)


def lanes_in(checkpoints: Path) -> list[int]:
    """Return the numbers of the lanes that have a folder in `checkpoints`, ascending."""
    return sorted(int(path.name[5:]) for path in checkpoints.glob("lane-*") if path.name[5:].isdecimal())


def load_checkpoint(folder: Path, lane: int, version: int | None) -> Checkpoint:
    """Load a checkpoint of a lane from a run's folder; see `load_checkpoint_of`."""
    return load_checkpoint_of(folder / "checkpoints", lane, version)


def load_checkpoint_of(checkpoints: Path, lane: int, version: int | None) -> Checkpoint:
    """Load a checkpoint of a lane, the newest by default; the learner may go on meanwhile.

    Raises `SettingsError` when there is no such lane or version, and as `CheckpointStore.load` does.
    """
    found = lanes_in(checkpoints)
    if lane not in found:
        raise SettingsError(
            f"lane is {lane}, expected one with checkpoints in {str(checkpoints)!r}: "
            + (", ".join(map(str, found)) or "there is none")
        )
    for tried in range(_TRIES):
        store = CheckpointStore(checkpoints / f"lane-{lane}")
        versions = store.versions()
        if version is not None and version not in versions:
            raise SettingsError(f"checkpoint is {version}, expected one of {versions} ({store.directory})")
        try:
            checkpoint = store.load() if version is None else store.load_version(version)
        except CheckpointCorruptError:
            if tried == _TRIES - 1 or versions == store.versions():
                raise
            time.sleep(0.1)
            continue
        if checkpoint is None:
            raise SettingsError(f"{str(store.directory)!r} has no checkpoint yet: wait for the first")
        return checkpoint
    raise AssertionError("unreachable")


def choose_model(meta: Mapping[str, Any], name: str | None) -> str:
    """Return the name of the model to draw: `name`, or the first of the run that has synapses.

    meta: of a checkpoint. Raises `SettingsError` for a model that the run did not learn, or that has no synapses.
    """
    learned: list[str] = list(meta["lane"]["config"]["models"])
    with_synapses = [one for one in learned if one in MODELS and _has_synapses(MODELS[one])]
    if name is None and with_synapses:
        return with_synapses[0]
    if name is None or name not in with_synapses:
        what = "the run learned" if name in learned else "the run did not learn it, but"
        raise SettingsError(
            f"model is {name!r}, expected one with synapses ({', '.join(with_synapses) or 'the run has none'}); "
            f"{what} {', '.join(learned)}"
        )
    return name


def _has_synapses(model: type[Model]) -> bool:
    return model.synapse_view is not Model.synapse_view


def lane_config_of(meta: Mapping[str, Any], name: str) -> LaneConfig:
    """Return the configuration of a checkpoint's lane with the one model `name`, and without top lists."""
    said = meta["lane"]["config"]
    try:
        config = msgspec.convert(said["models"][name], MODELS[name].config_type)
    except msgspec.ValidationError as error:
        raise CheckpointMismatchError(f"checkpoint is of a {name} with other parameters: {error}") from None
    return LaneConfig(
        models=(name,),
        configs={name: config},
        clock=said["clock"],
        seed=said["seed"],
        ties_against=said["ties_against"],
        scale=(said["scale"][0], said["scale"][1]),
        max_users=said["max_users"],
        max_items=said["max_items"],
        top_every=0,
        drift=said["drift"],
    )


def snapshot_of_checkpoint(checkpoint: Checkpoint, name: str) -> Snapshot:
    """Return the synapses of the model `name` at the checkpoint. Raises `CheckpointMismatchError`."""
    lane = checkpoint.meta["lane"]
    config = lane_config_of(checkpoint.meta, name)
    [model] = config.build().values()
    model.restore(under(f"model/{name}/", checkpoint.arrays))
    now = lane["learned"] if config.clock == "event_count" else lane["clock_time_ms"]
    return snapshot(model, now, lane["learned"], checkpoint.arrays)


def snapshot(model: Model, now: int, events: int, rows: Mapping[str, NDArray[Any]]) -> Snapshot:
    """Return a model's synapses at tick `now`; rows: arrays of ids and histories, as `LaneRows.arrays` names them."""
    view = model.synapse_view(now)
    if view is None:
        raise SettingsError(f"model is {model.name!r}, expected one with synapses")
    table = IdTable()
    table.restore(under(f"{view.neurons}s/", rows))
    n = len(view.activity)
    ids = tuple(table.id_of(row) for row in range(n))
    return Snapshot(events, view, ids, _last_ms(view, under("history/", rows), n))


def _last_ms(view: SynapseView, history: Mapping[str, NDArray[Any]], n: int) -> NDArray[np.int64]:
    last = np.full(n, _NEVER_MS, np.int64)
    length = history["length"]
    of_user = np.repeat(np.arange(len(length)), length)
    neuron = history["items"] if view.neurons == "item" else of_user
    np.maximum.at(last, neuron, history["times_ms"])
    return last
