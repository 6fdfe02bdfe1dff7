"""Downloads from a publisher on this machine: cut, resumed, verified, unpacked; never half of one."""

from __future__ import annotations

import stat
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from dataset_files import FILES, archive_of, make_zip, md5_of
from local_publisher import LocalPublisher

import producers.download
from eventlog.errors import ChecksumError, DataError, DataMissingError
from producers.datasets import DATASETS
from producers.download import ATTEMPTS, download

DATASET = DATASETS["ml-1m"]
ARCHIVE = archive_of("ml-1m")
PART = "ml-1m.zip.part"


def _assert_whole(cache: Path) -> None:
    """The data set is there, byte for byte, and nothing else is but the lock."""
    folder = cache / "ml-1m"
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {
        name: text.encode("latin-1") for name, text in FILES["ml-1m"].items()
    }
    assert {entry.name for entry in cache.iterdir()} == {"ml-1m", ".ml-1m.lock"}


def _assert_nothing(cache: Path) -> None:
    """No data set, no part of one, and nothing beside the cache."""
    assert {entry.name for entry in cache.iterdir()} == {".ml-1m.lock"}
    assert {entry.name for entry in cache.parent.iterdir()} == {cache.name}


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "above" / "cache"


def test_a_data_set_is_downloaded_once(cache: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    with LocalPublisher(ARCHIVE) as publisher:
        folder = download(DATASET, cache, publisher.url, lambda *at: seen.append(at))
        assert folder == cache / "ml-1m"
        assert publisher.requests == [("/files/ml-1m.zip.md5", None), ("/files/ml-1m.zip", None)]
        assert download(DATASET, cache, publisher.url) == folder
        assert len(publisher.requests) == 2
    assert seen[-1] == (len(ARCHIVE), len(ARCHIVE))
    _assert_whole(cache)


def test_the_slash_at_the_end_of_the_address_may_be_left_out(cache: Path) -> None:
    with LocalPublisher(ARCHIVE) as publisher:
        download(DATASET, cache, publisher.url.rstrip("/"))
    _assert_whole(cache)


def test_a_cut_connection_is_taken_up_where_it_was_cut(cache: Path) -> None:
    seen: list[int] = []
    with LocalPublisher(ARCHIVE, cuts=[100, 50, 0]) as publisher:
        download(DATASET, cache, publisher.url, lambda received, _: seen.append(received))
        assert publisher.archive_ranges == [None, "bytes=100-", "bytes=150-", "bytes=150-"]
    assert seen == sorted(seen)
    _assert_whole(cache)


def test_after_too_many_cuts_what_has_come_waits_for_the_next_download(cache: Path) -> None:
    with LocalPublisher(ARCHIVE, cuts=[10] * ATTEMPTS) as publisher:
        with pytest.raises(DataMissingError, match="the next download goes on from there"):
            download(DATASET, cache, publisher.url)
        assert not (cache / "ml-1m").exists()
        assert (cache / PART).read_bytes() == ARCHIVE[: 10 * ATTEMPTS]
        download(DATASET, cache, publisher.url)
        assert publisher.archive_ranges[-1] == f"bytes={10 * ATTEMPTS}-"
    _assert_whole(cache)


@pytest.mark.parametrize("ranges", ["ignored", "shifted"])
def test_a_server_that_gives_another_range_makes_it_start_again(cache: Path, ranges: str) -> None:
    with LocalPublisher(ARCHIVE, cuts=[100], ranges=ranges) as publisher:
        download(DATASET, cache, publisher.url)
    _assert_whole(cache)


def test_a_part_that_is_whole_already_is_verified_and_used(cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / PART).write_bytes(ARCHIVE)
    with LocalPublisher(ARCHIVE) as publisher:
        download(DATASET, cache, publisher.url)
        assert publisher.archive_ranges == [f"bytes={len(ARCHIVE)}-"]
    _assert_whole(cache)


@pytest.mark.parametrize(
    "part", [b"of an older archive", b"x" * (len(ARCHIVE) + 1), b""], ids=["old", "long", "empty"]
)
def test_a_part_of_something_else_is_thrown_away(cache: Path, part: bytes) -> None:
    cache.mkdir(parents=True)
    (cache / PART).write_bytes(part)
    with LocalPublisher(ARCHIVE) as publisher:
        download(DATASET, cache, publisher.url)
    _assert_whole(cache)


def test_bytes_that_differ_from_the_checksum_are_never_used(cache: Path) -> None:
    wrong = "0" * 32
    said = f"{md5_of(ARCHIVE)}.*expected the publisher's, {wrong}"
    with LocalPublisher(ARCHIVE, md5=wrong) as publisher, pytest.raises(ChecksumError, match=said):
        download(DATASET, cache, publisher.url)
    _assert_nothing(cache)


@pytest.mark.parametrize(
    "form",
    [
        "{md5}\n",
        "{md5}  ml-1m.zip\n",
        "{md5} *ml-1m.zip\r\n",
        "MD5 (ml-1m.zip) = {md5}\n",
        "{other}  ml-1m-README.txt\n{md5}  ./ml-1m.zip\n",
    ],
)
def test_every_usual_form_of_a_checksum_is_read(cache: Path, form: str) -> None:
    text = form.format(md5=md5_of(ARCHIVE).upper(), other="f" * 32)
    with LocalPublisher(ARCHIVE, md5=text) as publisher:
        download(DATASET, cache, publisher.url)
    _assert_whole(cache)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "404"),
        ("<html>Sign in</html>", "expected the MD5 of ml-1m.zip"),
        ("f" * 32 + "  other.zip", "expected the MD5 of ml-1m.zip"),
    ],
)
def test_without_a_checksum_nothing_is_downloaded(cache: Path, text: str, said: str) -> None:
    with LocalPublisher(ARCHIVE, md5=text) as publisher:
        with pytest.raises(DataMissingError, match=said):
            download(DATASET, cache, publisher.url)
        assert publisher.archive_ranges == []
    _assert_nothing(cache)


def _with_link() -> bytes:
    target = BytesIO(ARCHIVE)
    with zipfile.ZipFile(target, "a") as packed:
        link = zipfile.ZipInfo("ml-1m/link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        packed.writestr(link, "/etc/passwd")
    return target.getvalue()


def _with_member(name: str) -> bytes:
    target = BytesIO(ARCHIVE)
    with zipfile.ZipFile(target, "a") as packed:
        member = zipfile.ZipInfo("replaced")
        member.filename = name
        packed.writestr(member, b"evil")
    return target.getvalue()


def _with_a_wrong_bit() -> bytes:
    """The checksum is the publisher's, and the publisher's archive is broken."""
    stored = BytesIO()
    with zipfile.ZipFile(stored, "w", zipfile.ZIP_STORED) as packed:
        packed.writestr("ml-1m/ratings.dat", b"1::10::5::978300760\n")
    return stored.getvalue().replace(b"1::10::5", b"1::10::4")


@pytest.mark.parametrize(
    ("archive", "said"),
    [
        (_with_member("ml-1m/../../evil"), "unsafe name"),
        (_with_member("../evil"), "unsafe name"),
        (_with_member("/tmp/engram-evil"), "unsafe name"),
        (_with_member("ml-1m\\..\\..\\evil"), "unsafe name"),
        (_with_member("C:/evil"), "unsafe name"),
        (_with_link(), "it is a link"),
        (_with_a_wrong_bit(), "no readable zip"),
        (ARCHIVE[:-30], "no readable zip"),
        (b"<html>no zip</html>", "no readable zip"),
        (make_zip({"ml-1m/ratings.dat": b""}), "it has no movies.dat, users.dat in ml-1m/"),
        (make_zip({"other/ratings.dat": b""}), "it has no ratings.dat, movies.dat, users.dat"),
    ],
)
def test_an_unsafe_or_broken_archive_is_refused_and_removed(cache: Path, archive: bytes, said: str) -> None:
    with LocalPublisher(archive) as publisher, pytest.raises(DataError, match=said):
        download(DATASET, cache, publisher.url)
    _assert_nothing(cache)
    assert not Path("/tmp/engram-evil").exists()


def test_a_member_that_comes_twice_is_refused(cache: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive = _with_member("ml-1m/users.dat")
    said = r"'ml-1m/users\.dat' twice"
    with LocalPublisher(archive) as publisher, pytest.raises(DataError, match=said):
        download(DATASET, cache, publisher.url)
    _assert_nothing(cache)


def test_other_folders_of_an_archive_are_left_out(cache: Path) -> None:
    with LocalPublisher(_with_member("__MACOSX/ml-1m/._ratings.dat")) as publisher:
        download(DATASET, cache, publisher.url)
    _assert_whole(cache)


@pytest.mark.parametrize(
    ("limit", "said"), [("MAX_UNPACKED_BYTES", "unpacks to more"), ("MAX_ARCHIVE_BYTES", "it has more")]
)
def test_sizes_are_limited(cache: Path, monkeypatch: pytest.MonkeyPatch, limit: str, said: str) -> None:
    monkeypatch.setattr(producers.download, limit, 100)
    with LocalPublisher(ARCHIVE) as publisher, pytest.raises(DataError, match=said):
        download(DATASET, cache, publisher.url)
    _assert_nothing(cache)


def test_what_a_killed_process_left_is_replaced(cache: Path) -> None:
    for folder in ("ml-1m", ".ml-1m.unpacking"):
        (cache / folder).mkdir(parents=True)
        (cache / folder / "ratings.dat").write_bytes(b"half")
    with LocalPublisher(ARCHIVE) as publisher:
        download(DATASET, cache, publisher.url)
    _assert_whole(cache)


def test_of_several_processes_one_downloads(cache: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from producers.datasets import DATASETS; "
        "from producers.download import download; "
        "print(download(DATASETS['ml-1m'], Path(sys.argv[1]), sys.argv[2]))"
    )
    with LocalPublisher(ARCHIVE, cuts=[100, 100]) as publisher:
        arguments = [sys.executable, "-c", code, str(cache), publisher.url]
        running = [subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) for _ in range(3)]
        said = [process.communicate(timeout=120)[0].strip() for process in running]
        assert [process.returncode for process in running] == [0, 0, 0]
        assert said == [str(cache / "ml-1m")] * 3
        assert publisher.archive_ranges == [None, "bytes=100-", "bytes=200-"]
    _assert_whole(cache)


def test_a_publisher_that_cannot_be_reached_is_named(cache: Path) -> None:
    with LocalPublisher(ARCHIVE) as publisher:
        url = publisher.url
    with pytest.raises(DataMissingError, match=rf"{url}ml-1m.zip.md5: Connection refused"):
        download(DATASET, cache, url)
    _assert_nothing(cache)


@pytest.mark.parametrize("url", ["file:///etc/", "ftp://127.0.0.1/", "/etc/"])
def test_an_address_is_http_or_https(cache: Path, url: str) -> None:
    with pytest.raises(DataError, match="expected http:// or https://"):
        download(DATASET, cache, url)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/ml-1m.zip"])
def test_a_redirection_leads_to_http_or_https_only(cache: Path, target: str) -> None:
    with LocalPublisher(ARCHIVE, redirect=target) as publisher, pytest.raises(DataMissingError):
        download(DATASET, cache, publisher.url)
    _assert_nothing(cache)


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    occupied = tmp_path / "file"
    occupied.write_bytes(b"")
    with LocalPublisher(ARCHIVE) as publisher, pytest.raises(DataError, match=str(occupied)):
        download(DATASET, occupied, publisher.url)
