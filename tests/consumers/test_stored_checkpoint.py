"""A checkpoint that an earlier version wrote is one that this version goes on with.

Each released version leaves one in tests/golden/, made by `python -m tests.consumers.test_stored_checkpoint`; a file is never
made again once its version is released. What a later version cannot read any more it has to refuse by name, and its changelog
to say how to go on.
"""

from __future__ import annotations

import sys
import tempfile
import zipfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from consumers.learner import Learner
from consumers.stream import lane_folder
from eventlog.sqlite_log import SqliteLog
from tests.consumers.ratings_log import create_topics, finish, learner, replay, rows

GOLDEN = Path(__file__).parents[1] / "golden"
STORED = sorted(GOLDEN.glob("checkpoint_*.zip"))
STOPPED_AFTER = 700  # events


def opened(folder: Path) -> SqliteLog:
    """The log that the stored learner read."""
    log = SqliteLog(folder / "log.sqlite")
    create_topics(log, 1)
    replay(log, 1, 16, rows())
    return log


def unpack(stored: Path, folder: Path) -> None:
    """Put a stored checkpoint where a learner looks for it."""
    with zipfile.ZipFile(stored) as packed:
        packed.extractall(lane_folder(folder, 0))


def write(target: Path) -> None:
    """Stop a learner in the middle of the stream, and store its last checkpoint."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with opened(folder) as log:
            one = learner(log, folder / "checkpoints")
            while sum(stream.lane.learned for stream in one.streams) < STOPPED_AFTER:
                one.step(0.0)
            one.close()
        lane = lane_folder(folder / "checkpoints", 0)
        newest = max(lane.glob("manifest-*.json"))
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.write(newest, newest.name)
            for path in sorted((lane / "objects").iterdir()):
                packed.write(path, f"objects/{path.name}")


def state(one: Learner) -> dict[str, np.ndarray]:
    """Every array of the models."""
    (stream,) = one.streams
    return {
        name: array for name, array in stream.lane.arrays().items() if np.issubdtype(array.dtype, np.number)
    }


def test_this_version_has_left_one() -> None:
    assert f"checkpoint_{version('engram-stream')}.zip" in {path.name for path in STORED}


@pytest.mark.parametrize("stored", STORED, ids=lambda path: path.stem)
def test_a_stored_checkpoint_is_gone_on_with(stored: Path, tmp_path: Path) -> None:
    with opened(tmp_path) as log:
        whole = finish(learner(log, tmp_path / "whole"))
        unpack(stored, tmp_path / "stored")
        gone_on = learner(log, tmp_path / "stored")
        assert STOPPED_AFTER <= sum(stream.lane.learned for stream in gone_on.streams) < len(rows())
        finish(gone_on)
    assert gone_on.positions == whole.positions
    expected, found = state(whole), state(gone_on)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        # Not to the bit: it may have been begun on another machine.
        np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=1e-9, err_msg=name)


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else GOLDEN / f"checkpoint_{version('engram-stream')}.zip")
