"""Checkpoints: complete or absent, corrupt ones skipped loudly, unchanged arrays written once."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from consumers.checkpoint import SCHEMA, CheckpointStore
from consumers.failpoints import NAMES, arm
from eventlog.errors import CheckpointCorruptError, CheckpointError, CheckpointNewerError

ROOT = Path(__file__).parents[2]


def state(value: int) -> dict[str, np.ndarray]:
    return {
        "model/a": np.full((3, 2), value, np.float32),
        "ids/heap": np.arange(5, dtype=np.uint8),
        "empty": np.zeros((0, 64), np.int32),
    }


def objects(store: CheckpointStore) -> set[str]:
    return {path.name for path in (store.directory / "objects").iterdir()}


def manifest(store: CheckpointStore, version: int) -> Path:
    return store.directory / f"manifest-{version:010d}.json"


def object_of(store: CheckpointStore, version: int, name: str) -> Path:
    entries = json.loads(manifest(store, version).read_bytes())["arrays"]
    return store.directory / "objects" / entries[name]["sha256"]


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    return CheckpointStore(tmp_path / "lane-0")


def test_what_is_saved_is_loaded(store: CheckpointStore) -> None:
    assert store.load() is None
    assert store.versions() == []
    arrays = {
        **state(1),
        "wide": np.array([2**64 - 1], np.uint64),
        "transposed": np.arange(6, dtype=np.int64).reshape(2, 3).T,
        "scalar": np.array(2.5),
    }
    meta = {"learned": 7, "text": "é", "nested": {"list": [1, None, 0.1]}, "large": 2**63 - 1}
    assert store.save(arrays, meta) == 1
    found = CheckpointStore(store.directory).load()
    assert found is not None
    assert found.version == 1
    assert found.meta == meta
    assert found.arrays.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found.arrays[name].dtype == array.dtype
        assert np.array_equal(found.arrays[name], array)
        assert found.arrays[name].flags.writeable
    assert not list(store.directory.rglob("*.part"))


def test_the_newest_is_loaded_and_old_ones_are_pruned(store: CheckpointStore) -> None:
    for value in range(5):
        assert store.save(state(value), {"value": value}) == value + 1
    assert store.versions() == [3, 4, 5]
    found = store.load()
    assert found is not None
    assert (found.version, found.meta) == (5, {"value": 4})
    # Three model arrays, the ids and the empty one; no leftovers of versions 1 and 2.
    assert len(objects(store)) == 5
    assert [info.version for info in store.describe()] == [3, 4, 5]
    assert {info.problem for info in store.describe()} == {None}
    assert {info.total_bytes for info in store.describe()} == {24 + 5}


def test_arrays_that_did_not_change_are_shared(store: CheckpointStore) -> None:
    store.save(state(1), {})
    written = {path: path.stat().st_mtime_ns for path in (store.directory / "objects").iterdir()}
    store.save(state(2), {})
    assert object_of(store, 1, "ids/heap") == object_of(store, 2, "ids/heap")
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert len(objects(store)) == 4
    # So does a store that was loaded, for what it has verified.
    again = CheckpointStore(store.directory)
    again.load()
    again.save(state(2), {})
    assert {path: path.stat().st_mtime_ns for path in written} == written


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "flipped":
        path.write_bytes(content[:-3] + bytes([content[-3] ^ 1]) + content[-2:])
    elif how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "emptied":
        path.write_bytes(b"")
    else:
        path.unlink()


@pytest.mark.parametrize("how", ["flipped", "truncated", "emptied", "deleted"])
@pytest.mark.parametrize("what", ["object", "manifest"])
def test_a_corrupt_checkpoint_is_skipped_for_the_one_before(
    store: CheckpointStore, what: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    store.save(state(1), {"value": 1})
    store.save(state(2), {"value": 2})
    damage(manifest(store, 2) if what == "manifest" else object_of(store, 2, "model/a"), how)
    with caplog.at_level(logging.ERROR):
        found = CheckpointStore(store.directory).load()
    assert found is not None
    assert (found.version, found.meta) == (1, {"value": 1})
    assert found.arrays["model/a"].tolist() == [[1, 1]] * 3
    if (what, how) != ("manifest", "deleted"):  # that is one that never was
        [record] = caplog.records
        assert record.levelno == logging.ERROR
        assert "checkpoint 2 is corrupt and is skipped" in record.message
        [_, problem] = [info.problem for info in store.describe()]
        assert problem


@pytest.mark.parametrize("content", [b"[]", b"7", b"{}", b'{"sha256":"x"}', b"\xff"])
def test_a_manifest_of_another_form_is_corrupt(store: CheckpointStore, content: bytes) -> None:
    store.save(state(1), {})
    manifest(store, 1).write_bytes(content)
    with pytest.raises(CheckpointCorruptError, match="manifest"):
        store.load_version(1)


def test_a_damaged_object_does_not_live_on_in_later_checkpoints(store: CheckpointStore) -> None:
    """The state is learned again, so its arrays have the name of the damaged file."""
    store.save(state(1), {"value": 1})
    store.save(state(2), {"value": 2})
    damage(object_of(store, 2, "model/a"), "flipped")
    restarted = CheckpointStore(store.directory)
    restarted.load()
    assert restarted.save(state(2), {"value": 2}) == 3
    found = CheckpointStore(store.directory).load()
    assert found is not None
    assert found.version == 3
    assert found.arrays["model/a"].tolist() == [[2, 2]] * 3


def test_when_all_are_corrupt_nothing_starts_from_nothing(store: CheckpointStore) -> None:
    store.save(state(1), {})
    store.save(state(2), {})
    for version in (1, 2):
        damage(manifest(store, version), "truncated")
    with pytest.raises(CheckpointCorruptError, match=r"all 2 checkpoints in .*lane-0 are corrupt; restore"):
        store.load()


def test_a_newer_schema_is_fatal_and_says_the_way_out(store: CheckpointStore) -> None:
    store.save(state(1), {})
    store.save(state(2), {})
    newer = {**json.loads(manifest(store, 2).read_bytes()), "schema": SCHEMA + 1}
    manifest(store, 2).write_bytes(msgspec.json.encode(newer))
    with pytest.raises(
        CheckpointNewerError, match=f"schema {SCHEMA + 1}, this program reads up to {SCHEMA}: up"
    ):
        store.load()


def test_a_corrupt_manifest_keeps_every_object(store: CheckpointStore) -> None:
    """What it refers to is unknown, so nothing is deleted."""
    for value in range(3):
        store.save(state(value), {})
    before = objects(store)
    damage(manifest(store, 2), "flipped")
    store.save(state(9), {})
    assert before < objects(store)


def test_what_an_interrupted_write_left_is_ignored_and_cleared(store: CheckpointStore) -> None:
    store.save(state(1), {"value": 1})
    leftovers = [
        store.directory / "manifest-0000000002.json.99.part",
        store.directory / "objects" / f"{'0' * 64}.99.part",
        store.directory / "objects" / ("1" * 64),  # complete, but no manifest refers to it
    ]
    for path in leftovers:
        path.write_bytes(b"half of it")
    found = CheckpointStore(store.directory).load()
    assert found is not None
    assert found.version == 1
    store.save(state(2), {})
    assert not any(path.exists() for path in leftovers)


KILLED = """
import sys
from pathlib import Path
import numpy as np
from consumers.checkpoint import CheckpointStore
store = CheckpointStore(Path(sys.argv[1]))
for value in (1, 2):
    store.save({"a": np.full(4, value), "b": np.arange(9)}, {"value": value})
"""


@pytest.mark.parametrize(
    ("failpoint", "version"),
    [("checkpoint_objects:2", 1), ("checkpoint_manifest:2", 2), ("checkpoint_objects", None)],
)
def test_a_process_killed_in_the_middle_leaves_a_valid_one(
    tmp_path: Path, failpoint: str, version: int | None
) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "ENGRAM_FAILPOINT": failpoint},
        check=False,
    )
    assert killed.returncode == -9
    found = CheckpointStore(tmp_path).load()
    if version is None:
        assert found is None
    else:
        assert found is not None
        assert (found.version, found.meta) == (version, {"value": version})
        assert found.arrays["a"].tolist() == [version] * 4


def test_a_failpoint_has_a_known_name() -> None:
    with pytest.raises(ValueError, match="failpoint is 'nowhere', expected one of"):
        arm("nowhere", 1)
    source = "".join(path.read_text() for path in (ROOT / "consumers").glob("*.py"))
    assert set(re.findall(r'failpoint\("(\w+)"\)', source)) == set(NAMES)


def test_a_disk_that_refuses_is_a_named_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"checkpoint in .*file failed"):
        CheckpointStore(tmp_path / "file").save(state(1), {})
