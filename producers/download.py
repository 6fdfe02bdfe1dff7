"""A data set from its publisher: fetched with resumption, checked against the publisher's MD5, unpacked safely.

In the cache there are whole data sets only, `<cache>/<name>`; what is not whole yet has another name:
`<archive>.part` (what has come so far, from where the next download goes on) and `.<name>.unpacking`.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import http.client
import re
import shutil
import ssl
import stat
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, Final

from eventlog.errors import ChecksumError, DataError, DataMissingError
from producers.datasets import PUBLISHER, Dataset

CONNECT_TIMEOUT_S: Final = 5.0  # a machine without network is to fall through quickly
READ_TIMEOUT_S: Final = 30.0
ATTEMPTS: Final = 4
MAX_ARCHIVE_BYTES: Final = 2 << 30
MAX_UNPACKED_BYTES: Final = 8 << 30
_CONNECTION_ERRORS: Final = (
    urllib.error.URLError,
    http.client.HTTPException,
    ssl.SSLError,
    ConnectionError,
    TimeoutError,
)
_BLOCK_BYTES: Final = 1 << 16
_MD5_PLAIN = re.compile(r"\\?([0-9a-fA-F]{32})(?:\s+\*?(.+))?")
_MD5_BSD = re.compile(r"MD5\s*\((.+)\)\s*=\s*([0-9a-fA-F]{32})")
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")

# (bytes received so far, bytes in all or None where the server does not say).
Progress = Callable[[int, int | None], None]


def missing_files(dataset: Dataset, folder: Path) -> list[str]:
    """Return the files that `dataset` needs and `folder` has not."""
    return [name for name in dataset.files if not (folder / name).is_file()]


def download(
    dataset: Dataset, cache_dir: Path, base_url: str = PUBLISHER, progress: Progress | None = None
) -> Path:
    """Return the folder of `dataset` in `cache_dir`, fetched from `base_url` unless it is there.

    Safe for several processes: one downloads, the others wait for it. Raises `DataMissingError` when the publisher
    cannot be reached or gives no checksum, `ChecksumError` when its bytes differ from it, `DataError` for an unsafe
    or broken archive, or a cache that cannot be written.
    """
    folder = cache_dir / dataset.name
    if dataset.archive is None:
        raise DataMissingError(f"{dataset.name} has no archive to download: give its folder with --data-dir")
    if urllib.parse.urlsplit(base_url).scheme not in {"http", "https"}:
        raise DataError(f"publisher's address is {base_url!r}, expected http:// or https://")
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        with _locked(cache_dir / f".{dataset.name}.lock"):
            if missing_files(dataset, folder):
                part = cache_dir / f"{dataset.archive}.part"
                _fetch_verified(f"{base_url.rstrip('/')}/{dataset.archive}", part, progress)
                try:
                    _unpack(part, folder, dataset)
                finally:
                    part.unlink()
    except OSError as error:
        raise DataError(f"{cache_dir}: {error.strerror or error}") from error
    return folder


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock; it ends with the process, however that ends."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch_verified(url: str, part: Path, progress: Progress | None) -> None:
    """Make `part` the archive at `url`, with the publisher's MD5; else `part` is removed and an error raised."""
    expected = _publisher_md5(url)
    began_before = part.exists()
    _fetch(url, part, progress)
    if began_before and _md5(part) != expected:
        # What was there may be of an older archive than the rest.
        part.unlink()
        _fetch(url, part, progress)
    if (found := _md5(part)) != expected:
        part.unlink()
        raise ChecksumError(f"{url}: MD5 is {found}, expected the publisher's, {expected}")


def _publisher_md5(url: str) -> str:
    """Return the MD5 in `<url>.md5`, in lower case."""
    try:
        with _open(f"{url}.md5", {}, CONNECT_TIMEOUT_S) as response:
            text = response.read(10_000).decode("utf-8", "replace")
    except _CONNECTION_ERRORS as error:
        raise DataMissingError(f"{url}.md5: {_reason(error)}") from error
    archive = url.rsplit("/", 1)[1]
    for line in text.splitlines():
        if match := _MD5_BSD.fullmatch(line.strip()):
            name, digest = match.groups()
        elif match := _MD5_PLAIN.fullmatch(line.strip()):
            digest, name = match.groups()
        else:
            continue
        if name is None or PurePosixPath(name).name == archive:
            return str(digest).lower()
    raise DataMissingError(f"{url}.md5: it says {text[:100]!r}, expected the MD5 of {archive}")


def _fetch(url: str, part: Path, progress: Progress | None) -> None:
    """Fetch `url` into `part`, going on from what is there; a cut connection is taken up again."""
    problem: Exception | None = None
    for attempt in range(ATTEMPTS):
        time.sleep(0.2 * attempt)
        try:
            if _fetch_once(url, part, progress):
                return
        except _CONNECTION_ERRORS as error:
            problem = error
            if isinstance(error, urllib.error.HTTPError) and error.code < 500:
                break
    how = _reason(problem) if problem else f"the connection was cut {ATTEMPTS} times"
    raise DataMissingError(f"{url}: {how}; what has come is kept, and the next download goes on from there")


def _fetch_once(url: str, part: Path, progress: Progress | None) -> bool:
    """Append to `part` what one connection gives; True when that was all of it."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    try:
        response = _open(url, headers, READ_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not have:
            raise
        return True  # nothing follows what is there; the checksum says whether that is the archive
    with response:
        length = response.headers.get("Content-Length")
        total = int(length) if length and length.isdigit() else None
        if response.status == 206:
            given = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if given is None or int(given[1]) != have:
                part.unlink(missing_ok=True)  # not the range that was asked for: from the start
                return False
            total = int(given[2]) if given[2] != "*" else None
        else:
            have = 0
        with part.open("ab" if have else "wb") as file:
            while block := response.read(_BLOCK_BYTES):
                have += len(block)
                if have > MAX_ARCHIVE_BYTES:
                    part.unlink()
                    raise DataError(f"{url}: it has more than {MAX_ARCHIVE_BYTES:,} bytes")
                file.write(block)
                if progress is not None:
                    progress(have, total)
    return total is None or have >= total


def _open(url: str, headers: dict[str, str], timeout_s: float) -> http.client.HTTPResponse:
    """GET by http or https, through the environment's proxy; a redirection cannot lead elsewhere (file:, ftp:)."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    request = urllib.request.Request(url, headers={"User-Agent": "engram", **headers})
    try:
        response: http.client.HTTPResponse = opener.open(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        error.close()  # its body is not read
        raise
    return response


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    code = f"{error.code} " if isinstance(error, urllib.error.HTTPError) else ""
    return code + (getattr(reason, "strerror", None) or str(reason) or type(error).__name__)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _unpack(archive: Path, folder: Path, dataset: Dataset) -> None:
    """Unpack the data set's folder in the archive as `folder`: all of it, or nothing."""
    unpacking = folder.parent / f".{dataset.name}.unpacking"
    shutil.rmtree(unpacking, ignore_errors=True)
    unpacking.mkdir()
    try:
        try:
            with zipfile.ZipFile(archive) as packed:
                _unpack_members(packed, unpacking, dataset)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise DataError(f"{dataset.archive}: it is no readable zip: {error}") from error
        if missing := missing_files(dataset, unpacking):
            raise DataError(
                f"{dataset.archive}: it has no {', '.join(missing)} in {_archive_folder(dataset)}/"
            )
        if folder.exists():
            shutil.rmtree(folder)
        unpacking.rename(folder)
    finally:
        shutil.rmtree(unpacking, ignore_errors=True)


def _unpack_members(packed: zipfile.ZipFile, target: Path, dataset: Dataset) -> None:
    """Write the files under the data set's folder below `target`. Raises `DataError` for a name that leads elsewhere."""
    left = MAX_UNPACKED_BYTES
    for member in packed.infolist():
        path = PurePosixPath(member.filename)
        mode = member.external_attr >> 16
        if path.is_absolute() or ".." in path.parts or "\\" in member.filename or ":" in member.filename:
            raise DataError(f"{dataset.archive}: unsafe name {member.filename!r}")
        if stat.S_IFMT(mode) not in {0, stat.S_IFREG, stat.S_IFDIR}:
            raise DataError(f"{dataset.archive}: {member.filename!r} is no file, it is a link or a device")
        if member.is_dir() or len(path.parts) < 2 or path.parts[0] != _archive_folder(dataset):
            continue
        file = target.joinpath(*path.parts[1:])
        if file.exists():
            raise DataError(f"{dataset.archive}: it has {member.filename!r} twice")
        file.parent.mkdir(parents=True, exist_ok=True)
        with packed.open(member) as source, file.open("wb") as sink:
            left -= _copy(source, sink, left, dataset)


def _archive_folder(dataset: Dataset) -> str:
    return dataset.archive_folder or dataset.name


def _copy(source: IO[bytes], sink: BinaryIO, limit: int, dataset: Dataset) -> int:
    """Copy at most `limit` bytes, and return how many; what a header claims is not believed."""
    copied = 0
    while block := source.read(_BLOCK_BYTES):
        copied += len(block)
        if copied > limit:
            raise DataError(f"{dataset.archive}: it unpacks to more than {MAX_UNPACKED_BYTES:,} bytes")
        sink.write(block)
    return copied
