"""Checkpoints in blocks and in the background: what is restored is the state of the moment, and a restart repeats the rest."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from consumers import checkpoint
from consumers.checkpoint import CheckpointStore
from consumers.epochs import Epoch
from consumers.learner import Learner, LearnerConfig
from consumers.snapshot import Snapshot
from eventlog.errors import CheckpointCorruptError, CheckpointError, FencedError
from eventlog.sqlite_log import SqliteLog
from tests.consumers.ratings_log import (
    LANE,
    LIMITS,
    TOPICS,
    create_topics,
    finish,
    learner,
    replay,
    rows,
    summaries,
)

pytestmark = pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "BLOCK_BYTES", 1 << 10)


@pytest.mark.usefixtures("small_blocks")
def test_only_changed_blocks_are_written(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    state = np.arange(1_000, dtype=np.float64).reshape(10, 100)
    store.save({"state": state}, {})
    before = {path.name for path in (tmp_path / "objects").iterdir()}
    assert len(before) == 8  # 8,000 bytes in blocks of 1,024
    state[5, 50] = -1.0  # byte 4,400, in the fifth block
    store.save({"state": state}, {})
    after = {path.name for path in (tmp_path / "objects").iterdir()}
    assert len(after - before) == 1
    loaded = CheckpointStore(tmp_path).load()
    assert loaded is not None
    np.testing.assert_array_equal(loaded.arrays["state"], state)
    loaded.arrays["state"][0] = 7  # a restored state is written to
    # A reader of schema 1 says that it is too old, and one without large arrays need not.
    assert msgspec.json.decode((tmp_path / "manifest-0000000001.json").read_bytes())["schema"] == 2
    store.save({"small": np.arange(3)}, {})
    assert msgspec.json.decode((tmp_path / "manifest-0000000003.json").read_bytes())["schema"] == 1


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("harm", ["cut", "longer", "changed", "gone"])
def test_a_damaged_block_is_found(harm: str, tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    store.save({"state": np.arange(1_000)}, {})
    block = next((tmp_path / "objects").iterdir())
    data = block.read_bytes()
    block.write_bytes(
        {"cut": data[:-1], "longer": data + b"x", "changed": data[:-1] + b"?", "gone": b""}[harm]
    )
    if harm == "gone":
        block.unlink()
    with pytest.raises(CheckpointCorruptError, match="array state"):
        CheckpointStore(tmp_path).load_version(1)


def test_a_snapshot_is_of_the_moment_it_was_begun(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    state = np.zeros(1 << 18)
    snapshot = Snapshot(store, lambda: (store.save({"state": state}, {}), state.nbytes))
    state[:] = 1.0
    assert snapshot.result() == (1, state.nbytes)
    assert snapshot.pause_s > 0
    loaded = store.load()
    assert loaded is not None
    assert not loaded.arrays["state"].any()
    assert len(store.durable_objects()) == 1  # learned from the child, so it is not written again


def test_a_port_that_is_listened_at_is_not_kept_by_who_writes(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def save() -> tuple[int, int]:
            try:
                os.fstat(listening.fileno())
            except OSError:
                return 1, 0
            return 0, 0

        assert Snapshot(CheckpointStore(tmp_path), save).result() == (1, 0)
        socket.create_connection(listening.getsockname()).close()


def test_what_goes_wrong_in_the_background_is_raised(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "file")
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(CheckpointError, match="failed"):
        Snapshot(store, lambda: (store.save({"a": np.zeros(3)}, {}), 24)).result()
    with pytest.raises(CheckpointError, match="was ended"):
        Snapshot(store, lambda: os._exit(9)).result()  # as a process that is killed
    epoch = Epoch(tmp_path / "lane")
    owned = CheckpointStore(tmp_path / "lane", epoch=epoch)
    Epoch(tmp_path / "lane")
    with pytest.raises(FencedError, match="another one owns the lane"):
        Snapshot(owned, lambda: (owned.save({"a": np.zeros(3)}, {}), 24)).result()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    with SqliteLog(tmp_path / "log.db") as made:
        create_topics(made, 1)
        replay(made, 1, 16, rows())
        yield made


def test_interrupted_equals_uninterrupted_in_the_background(log: SqliteLog, tmp_path: Path) -> None:
    def in_background(name: str) -> Learner:
        config = LearnerConfig(
            lane=LANE,
            batch_size=64,
            checkpoint_every_events=100,
            checkpoint_every_s=1e9,
            background_bytes=0,
            limits=LIMITS,
        )
        return Learner(log, TOPICS, config, tmp_path / name)

    finish(learner(log, tmp_path / "foreground"))
    [want] = summaries(log)
    for interrupted in (4, 9, 15):
        log.delete_topic(TOPICS.predictions)
        log.create_topic(TOPICS.predictions, 1)
        one = in_background(f"after-{interrupted}")
        for _ in range(interrupted):
            one.step(0.0)
        [stream] = one.streams
        if stream.snapshot is not None:
            stream.end_save()  # the child outlives a killed parent, and its checkpoint is found
        del one, stream
        again = in_background(f"after-{interrupted}")
        [stream] = again.streams
        assert stream.restored
        finish(again)
        [found] = summaries(log)
        assert {name: model.digest for name, model in found.models.items()} == {
            name: model.digest for name, model in want.models.items()
        }
        assert found.accounting == want.accounting
