"""The registry of batch models: a folder on a disk or a bucket (any address that fsspec knows).

::

    ADDRESS/<name>/<version>/model.safetensors
    ADDRESS/<name>/<version>/manifest.json         written last: a version without one does not exist
    ADDRESS/<name>/champion.json                   {"version": 3, "previous": [1, 2]}: the alias, and the way back

Versions are numbers from 1. One trainer a name at a time; readers need no lock, for what has a manifest never changes.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any, Final

import fsspec
import msgspec

from eventlog.artefact import (
    MANIFEST,
    WEIGHTS,
    Artefact,
    Manifest,
    check,
    decode_manifest,
    decode_weights,
    encode_weights,
    file_of,
)
from eventlog.errors import ArtefactCorruptError, ArtefactError, ArtefactTornError, SettingsError
from eventlog.hostile import decode_errors

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_CHAMPION: Final = "champion.json"
_MOST_JSON_BYTES: Final = 256 << 20  # a manifest lists the ids of all items


class Champion(msgspec.Struct, frozen=True):
    """The version that the alias names; previous: those that it named before, the last one last."""

    version: int
    previous: tuple[int, ...] = ()


class ModelRegistry:
    """The registry at `address`: a path, or an address such as s3://bucket/models or memory://models."""

    def __init__(self, address: str) -> None:
        self.address = address
        filesystem, self._root = fsspec.core.url_to_fs(address)
        self._fs: Any = filesystem

    def names(self) -> list[str]:
        """Models that have a version, sorted."""
        return [name for name in self._listed(self._root) if _NAME.fullmatch(name) and self.versions(name)]

    def versions(self, name: str) -> list[int]:
        """Complete versions of a model, ascending; [] for an unknown one."""
        folder = self._path(name)
        numbers = sorted(int(entry) for entry in self._listed(folder) if entry.isdecimal())
        return [number for number in numbers if self._fs.exists(self._path(name, number, MANIFEST))]

    def save(self, artefact: Artefact) -> Manifest:
        """Store an artefact under the next version; returns the manifest as it was written.

        Raises `ArtefactError` for one that `check` refuses, or when the store does.
        """
        check(artefact)
        name = artefact.manifest.name
        folder = self._path(name)
        # Beyond versions that were never finished, too.
        version = 1 + max((int(entry) for entry in self._listed(folder) if entry.isdecimal()), default=0)
        weights = encode_weights(artefact.arrays)
        manifest = msgspec.structs.replace(
            artefact.manifest, version=version, files={WEIGHTS: file_of(weights)}
        )
        try:
            self._write(self._path(name, version, WEIGHTS), weights)
            self._write(self._path(name, version, MANIFEST), msgspec.json.encode(manifest))
        except OSError as error:
            raise ArtefactError(f"{self._path(name, version)} cannot be written: {error}") from error
        return manifest

    def manifest(self, name: str, version: int) -> Manifest:
        """Read a manifest alone. Raises `ArtefactError`."""
        where = self._path(name, version, MANIFEST)
        manifest = decode_manifest(self._read(where), where)
        if (manifest.name, manifest.version) != (name, version) or WEIGHTS not in manifest.files:
            raise ArtefactCorruptError(
                f"{where} is of {manifest.name} {manifest.version}, expected {name} {version} and its {WEIGHTS}"
            )
        return manifest

    def load(self, name: str, version: int) -> Artefact:
        """Read and verify a version. Raises `ArtefactError`: torn, corrupt, newer or mismatched."""
        manifest = self.manifest(name, version)
        where = self._path(name, version, WEIGHTS)
        expected = manifest.files[WEIGHTS]
        artefact = Artefact(manifest, decode_weights(self._read(where, expected.bytes), expected, where))
        check(artefact)
        return artefact

    def champion(self, name: str) -> Champion | None:
        """What the alias says, None where nothing was promoted. Raises `ArtefactCorruptError`."""
        where = self._path(name, _CHAMPION)
        if not self._fs.exists(where):
            return None
        try:
            with decode_errors():
                return msgspec.json.decode(self._read(where), type=Champion)
        except msgspec.MsgspecError as error:
            raise ArtefactCorruptError(f"{where} is no alias: {error}") from None

    def promote(self, name: str, version: int) -> Champion:
        """Let the alias name a version, whose manifest must be there. Raises `ArtefactError`."""
        self.manifest(name, version)
        before = self.champion(name)
        if before is not None and before.version == version:
            return before
        previous = () if before is None else (*before.previous, before.version)
        return self._alias(name, Champion(version, previous))

    def rollback(self, name: str) -> Champion:
        """Let the alias name what it named before. Raises `ArtefactError` where that was nothing, or is gone."""
        before = self.champion(name)
        if before is None or not before.previous:
            raise ArtefactError(f"{name} has no champion before this one, expected an earlier promotion")
        self.manifest(name, before.previous[-1])
        return self._alias(name, Champion(before.previous[-1], before.previous[:-1]))

    def _alias(self, name: str, champion: Champion) -> Champion:
        self._write(self._path(name, _CHAMPION), msgspec.json.encode(champion))
        return champion

    def _path(self, name: str, *parts: object) -> str:
        if not _NAME.fullmatch(name):
            raise SettingsError(f"model is {name!r}, expected letters, digits, '.', '_', '-'")
        return posixpath.join(self._root, name, *map(str, parts))

    def _listed(self, folder: str) -> list[str]:
        self._fs.invalidate_cache()
        try:
            return sorted(posixpath.basename(path.rstrip("/")) for path in self._fs.ls(folder, detail=False))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _read(self, path: str, most_bytes: int = _MOST_JSON_BYTES) -> bytes:
        """Read a file whole; one that is larger than it may be is not read at all."""
        try:
            size = self._fs.size(path)
            if size is not None and size > most_bytes:
                raise ArtefactCorruptError(f"{path} has {size:,} bytes, expected at most {most_bytes:,}")
            content: bytes = self._fs.cat_file(path)
        except FileNotFoundError:
            raise ArtefactTornError(f"{path} is missing, expected the files of a finished version") from None
        except OSError as error:
            raise ArtefactError(f"{path} cannot be read: {error}") from error
        return content

    def _write(self, path: str, content: bytes) -> None:
        """Under another name first: a reader finds all of it or nothing."""
        self._fs.makedirs(posixpath.dirname(path), exist_ok=True)
        self._fs.pipe_file(f"{path}.part", content)
        self._fs.mv(f"{path}.part", path)
