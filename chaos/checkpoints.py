"""Faults of the learner's checkpoints: damaged, cut short, gone, or of a newer version of Engram."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from chaos.fault import SAME, Fault, Ground, Outcome, finish, refused
from chaos.run import Run
from chaos.traps import learn_partly, store_of
from eventlog.errors import CheckpointCorruptError, CheckpointNewerError, EngramError

Damage = Callable[[Path, np.random.Generator], None]


def _manifests(folder: Path) -> list[Path]:
    return sorted(folder.glob("manifest-*.json"))


def _own_objects(folder: Path) -> list[Path]:
    """Objects that only the newest checkpoint has."""
    *older, newest = (
        {e["sha256"] for e in json.loads(m.read_bytes())["arrays"].values()} for m in _manifests(folder)
    )
    return [folder / "objects" / name for name in sorted(newest.difference(*older))]


def _flip(path: Path, rng: np.random.Generator) -> None:
    data = bytearray(path.read_bytes())
    data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    path.write_bytes(data)


def _cut(path: Path, rng: np.random.Generator) -> None:
    path.write_bytes(path.read_bytes()[: int(rng.integers(path.stat().st_size))])


def _remove(path: Path, rng: np.random.Generator) -> None:
    path.unlink()


def _spoil(spoil: Damage, folder: Path, rng: np.random.Generator) -> None:
    """Spoil the newest manifest, or an object that only it has and that is not empty."""
    objects = [path for path in _own_objects(folder) if path.stat().st_size]
    target = (
        _manifests(folder)[-1]
        if not objects or rng.random() < 0.5
        else objects[int(rng.integers(len(objects)))]
    )
    spoil(target, rng)


def one_spoilt(spoil: Damage, ground: Ground) -> Outcome:
    """Spoil the newest checkpoint; the learner goes on from the one before."""
    run = _partly(ground)
    if len(store_of(run).versions()) < 2:
        return _too_early(run)
    _spoil(spoil, store_of(run).directory, ground.rng)
    run.here("learner", "evaluator")
    return Outcome(findings=finish(ground, run))


def all_gone(ground: Ground) -> Outcome:
    """Delete every checkpoint; the learner begins anew, and what it publishes again is dropped by readers."""
    run = _partly(ground)
    if not store_of(run).versions():
        return _too_early(run)
    shutil.rmtree(store_of(run).directory)
    run.here("learner", "evaluator")
    return Outcome(findings=finish(ground, run))


def _all_corrupt(folder: Path, rng: np.random.Generator) -> None:
    for path in _manifests(folder):
        _flip(path, rng)


def _newer(folder: Path, rng: np.random.Generator) -> None:
    path = _manifests(folder)[-1]
    path.write_bytes(json.dumps({**json.loads(path.read_bytes()), "schema": 1000}).encode())


def none_usable(error: type[EngramError], words: tuple[str, ...], damage: Damage, ground: Ground) -> Outcome:
    """Damage that no learner may pass over: it is refused by name, and the way out that it says is one."""
    run = _partly(ground)
    if not store_of(run).versions():
        return _too_early(run)
    damage(store_of(run).directory, ground.rng)
    ended, findings = refused(error, words, lambda: run.here("learner"))
    run.findings += findings
    shutil.rmtree(store_of(run).directory)
    run.here("learner", "evaluator")
    return Outcome(ended=ended, findings=finish(ground, run))


def _partly(ground: Ground) -> Run:
    run = ground.draw(200 if ground.on_kafka else 300)
    run.write()
    learn_partly(run, ground.rng)
    return run


def _too_early(run: Run) -> Outcome:
    """The learner died before there was anything to damage: no try."""
    run.delete()
    return Outcome(0, 0)


_OLDER = f"goes on from the one before: {SAME}"
FAULTS = (
    Fault("checkpoint corrupted (a bit)", _OLDER, partial(one_spoilt, _flip)),
    Fault("checkpoint truncated", _OLDER, partial(one_spoilt, _cut)),
    Fault("checkpoint: a file of it missing", _OLDER, partial(one_spoilt, _remove)),
    Fault("every checkpoint missing", f"learns again from the log: {SAME}", all_gone),
    Fault(
        "every checkpoint corrupted",
        "CheckpointCorruptError says the way out; then the same result",
        partial(none_usable, CheckpointCorruptError, ("delete it to learn again",), _all_corrupt),
    ),
    Fault(
        "checkpoint of a newer version",
        "CheckpointNewerError says the way out; then the same result",
        partial(none_usable, CheckpointNewerError, ("upgrade Engram",), _newer),
    ),
)
