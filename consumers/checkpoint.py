"""Checkpoints: immutable content-named files, and a manifest written last.

::

    DIRECTORY/objects/<sha256>          the bytes of one array
    DIRECTORY/manifest-<version>.json   {schema, version, meta, arrays: {name: {dtype, shape, sha256}}, sha256}

A manifest that exists is complete: its objects were durable before it was renamed into place. Arrays that did
not change since an earlier checkpoint are not written again. A corrupt checkpoint is skipped for the one before,
with a warning; when none is left the error is fatal, for starting from nothing would be a silent loss.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from consumers.failpoints import failpoint
from eventlog.errors import CheckpointCorruptError, CheckpointError, CheckpointNewerError
from eventlog.hostile import decode_errors

SCHEMA = 1
_log = logging.getLogger(__name__)

Array = NDArray[Any]


class _ArrayEntry(msgspec.Struct, frozen=True):
    dtype: Annotated[str, Meta(max_length=100)]
    shape: tuple[Annotated[int, Meta(ge=0)], ...]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]  # the name of a file, too: never a path


class _Manifest(msgspec.Struct, frozen=True, kw_only=True):
    schema: int
    version: int
    meta: dict[str, Any]
    arrays: dict[str, _ArrayEntry]
    sha256: str


class Checkpoint(NamedTuple):
    """One loaded checkpoint: named arrays, JSON-able meta, and its version (1, 2, ...)."""

    arrays: dict[str, Array]
    meta: dict[str, Any]
    version: int


class CheckpointInfo(NamedTuple):
    """A checkpoint as `engram checkpoint list` shows it. problem: None when it verifies."""

    version: int
    path: Path
    total_bytes: int
    meta: dict[str, Any]
    problem: str | None


class CheckpointStore:
    """The checkpoints of one owner (a lane of the learner, or the evaluator) in one directory.

    keep: how many versions stay; older ones are deleted after a newer one is in place.
    """

    def __init__(self, directory: Path, keep: int = 3) -> None:
        self.directory = directory
        self._objects = directory / "objects"
        self._keep = keep
        # Objects known to be durable, so that unchanged arrays cost a hash and no write.
        self._durable: set[str] = set()

    def save(self, arrays: Mapping[str, Array], meta: Mapping[str, Any]) -> int:
        """Write a checkpoint and return its version. Raises `CheckpointError` when the disk refuses."""
        try:
            self._objects.mkdir(parents=True, exist_ok=True)
            versions = self.versions()
            version = versions[-1] + 1 if versions else 1
            # (1) objects, each durable under its content's name
            entries = {name: self._write_object(array) for name, array in arrays.items()}
            _sync_directory(self._objects)
            failpoint("checkpoint_objects")
            # (2) the manifest, complete or absent
            manifest = _Manifest(schema=SCHEMA, version=version, meta=dict(meta), arrays=entries, sha256="")
            self._write_manifest(manifest)
            failpoint("checkpoint_manifest")
            # (3) what nothing refers to any more
            self._prune()
        except OSError as error:
            raise CheckpointError(f"checkpoint in {self.directory} failed: {error}") from error
        return version

    def load(self) -> Checkpoint | None:
        """Load the newest checkpoint that verifies; None when there is none at all.

        Raises `CheckpointNewerError` for a newer schema, `CheckpointCorruptError` when there are checkpoints
        and every one of them is corrupt.
        """
        versions = self.versions()
        for version in reversed(versions):
            try:
                return self.load_version(version)
            except CheckpointCorruptError as error:
                _log.error("checkpoint %d is corrupt and is skipped for the one before: %s", version, error)
        if versions:
            raise CheckpointCorruptError(
                f"all {len(versions)} checkpoints in {self.directory} are corrupt; restore the directory from a "
                "backup, or delete it to learn again from the start of the log"
            )
        return None

    def load_version(self, version: int) -> Checkpoint:
        """Load one version. Raises `CheckpointCorruptError` or `CheckpointNewerError`."""
        manifest = self._read_manifest(version)
        arrays = {name: self._read_object(name, entry) for name, entry in manifest.arrays.items()}
        self._durable.update(entry.sha256 for entry in manifest.arrays.values())
        return Checkpoint(arrays, manifest.meta, version)

    def restore(self, version: int) -> int:
        """Make `version` the newest: write its manifest once more, under the next version, which is returned.

        Nothing is deleted before the next `save`. Raises as `load_version` does, and `CheckpointError` when the disk
        refuses.
        """
        self.load_version(version)
        manifest = msgspec.structs.replace(self._read_manifest(version), version=self.versions()[-1] + 1)
        try:
            self._write_manifest(manifest)
        except OSError as error:
            raise CheckpointError(f"checkpoint in {self.directory} failed: {error}") from error
        return manifest.version

    def versions(self) -> list[int]:
        """Versions that have a manifest, ascending."""
        if not self.directory.is_dir():
            return []
        names = (path.name for path in self.directory.glob("manifest-*.json"))
        return sorted(int(name[9:-5]) for name in names if name[9:-5].isdigit())

    def describe(self) -> list[CheckpointInfo]:
        """Describe and verify every checkpoint, oldest first."""
        found = []
        for version in self.versions():
            meta: dict[str, Any] = {}
            size, problem = 0, None
            try:
                loaded = self.load_version(version)
                meta = loaded.meta
                size = sum(array.nbytes for array in loaded.arrays.values())
            except CheckpointError as error:
                problem = str(error)
            found.append(CheckpointInfo(version, self._manifest_path(version), size, meta, problem))
        return found

    def _manifest_path(self, version: int) -> Path:
        return self.directory / f"manifest-{version:010d}.json"

    def _write_object(self, array: Array) -> _ArrayEntry:
        data = np.ascontiguousarray(array)
        digest = _sha256(data)
        if digest not in self._durable:
            # Also where a file of this name exists: its bytes may be why an earlier checkpoint was skipped.
            _write_durably(self._objects / digest, data)
            self._durable.add(digest)
        return _ArrayEntry(data.dtype.str, array.shape, digest)

    def _write_manifest(self, manifest: _Manifest) -> None:
        """Write it durably, with the sha256 of the rest of it."""
        body = msgspec.structs.asdict(manifest)
        del body["sha256"]
        content = msgspec.json.encode({**body, "sha256": _sha256(_canonical(body))})
        _write_durably(self._manifest_path(manifest.version), content)
        _sync_directory(self.directory)

    def _read_manifest(self, version: int) -> _Manifest:
        path = self._manifest_path(version)
        try:
            with decode_errors():
                raw = msgspec.json.decode(path.read_bytes())
            schema = raw.get("schema")
            if isinstance(schema, int) and schema > SCHEMA:
                raise CheckpointNewerError(
                    f"{path} has schema {schema}, this program reads up to {SCHEMA}: upgrade Engram, or name "
                    "another checkpoint directory"
                )
            stated = raw.pop("sha256")
            if _sha256(_canonical(raw)) != stated:
                raise CheckpointCorruptError(f"{path}: sha256 differs from the manifest's own")
            return msgspec.convert({**raw, "sha256": stated}, _Manifest)
        except (OSError, msgspec.MsgspecError, AttributeError, KeyError, TypeError) as error:
            raise CheckpointCorruptError(f"{path}: {error!r}") from error

    def _read_object(self, name: str, entry: _ArrayEntry) -> Array:
        path = self._objects / entry.sha256
        try:
            dtype = np.dtype(entry.dtype)
            expected, found = math.prod(entry.shape) * dtype.itemsize, path.stat().st_size
            if found != expected:
                raise CheckpointCorruptError(
                    f"array {name}: {path} has {found:,} bytes, expected {expected:,}"
                )
            data = path.read_bytes()
            if _sha256(data) != entry.sha256:
                raise CheckpointCorruptError(f"array {name}: {path} differs from its sha256")
            # A copy: arrays of a loaded state are written to.
            return np.frombuffer(data, dtype).reshape(entry.shape).copy()
        except (OSError, ValueError, TypeError) as error:
            raise CheckpointCorruptError(f"array {name}: {error}") from error

    def _prune(self) -> None:
        for interrupted in self.directory.glob("*.part"):
            interrupted.unlink(missing_ok=True)
        versions = self.versions()
        for version in versions[: -self._keep]:
            self._manifest_path(version).unlink(missing_ok=True)
        used: set[str] = set()
        for version in versions[-self._keep :]:
            try:
                used.update(entry.sha256 for entry in self._read_manifest(version).arrays.values())
            except CheckpointError:
                return  # what a corrupt manifest refers to is unknown: nothing is deleted
        for path in self._objects.iterdir():
            if path.name not in used:
                path.unlink(missing_ok=True)
                self._durable.discard(path.name)


def _canonical(body: Any) -> bytes:
    return msgspec.json.encode(body, order="sorted")


def _sha256(data: Any) -> str:
    return hashlib.sha256(data).hexdigest()


def _write_durably(path: Path, data: Any) -> None:
    """Write to a temporary name, sync, rename."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
