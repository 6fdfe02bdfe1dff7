"""Every parser against made-up and damaged input: an error of its own kind, and never more memory than the input is worth.

The codec and whole messages are in tests/eventlog/test_codec.py and test_decode.py, archives in
tests/producers/test_download.py, bodies of requests in tests/serving/test_hostile_bodies.py.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from consumers.checkpoint import CheckpointStore
from consumers.predictions import decode_prediction
from engram.settings import load
from eventlog.artefact import decode_manifest, decode_weights, encode_weights, file_of
from eventlog.deadletter import DeadLetter, Reason
from eventlog.errors import ArtefactError, CheckpointError, DataError, EngramError, EventError, SettingsError
from eventlog.metadata import ItemMetadata, ItemTag, UserMetadata, decode_item, decode_user
from eventlog.model_records import Announced, decode_model_record, to_record
from eventlog.model_registry import ModelRegistry
from eventlog.redrive import event_of, parse_corrections
from producers.datasets import DATASETS
from producers.readers.bounded_lines import MAX_LINE_CHARACTERS
from producers.readers.mapped_file import ColumnMap, MappedFileReader, parse_columns
from tests.eventlog.test_model_registry import NAME, artefact
from tests.producers.dataset_files import ENCODINGS, FILES, write_dataset

MIB = 1 << 20
DEEP_JSON = b'{"x":' + b"[" * 100_000
DEEP_MSGPACK = b"\x81\xa1x" + b"\x91" * 100_000
NOT_UTF8 = b'{"item":"\xff","v":1}'


def mutated(value: bytes) -> st.SearchStrategy[bytes]:
    """`value` with a slice of it replaced."""
    return st.builds(
        lambda at, drop, put: value[:at] + put + value[at + drop :],
        st.integers(0, len(value)),
        st.integers(0, 20),
        st.binary(max_size=20),
    )


ITEM = ItemMetadata(
    item="1", title="Fargo", year=1996, genres=("Crime",), tags=(ItemTag(5, "dark"),)
).to_record()
USER = UserMetadata(user="7", age_min=18, age_max=24, gender="F").to_record()
SAID = to_record(Announced(name="m", version=3, digest="d" * 64, events=10, trigger="command"))
LETTER = DeadLetter(
    topic="ratings", partition=0, offset=3, index=1, reason=Reason.WRONG_TYPE, detail="x", payload=b"{}"
).to_record()
DECODERS: dict[str, tuple[Callable[[bytes], Any], bytes, tuple[type[Exception], ...]]] = {
    "item": (decode_item, ITEM.value or b"", (msgspec.DecodeError,)),
    "user": (decode_user, USER.value or b"", (msgspec.DecodeError,)),
    "model record": (decode_model_record, SAID.value or b"", (msgspec.DecodeError,)),
    "dead letter": (DeadLetter.from_value, LETTER.value or b"", (msgspec.DecodeError,)),
    # A column of broken length is a ValueError there.
    "prediction": (decode_prediction, b'{"v":2,"kind":"summary"}', (msgspec.DecodeError, ValueError)),
    "payload": (event_of, b'{"user":"1","item":"2","event_time_ms":3}', (EventError,)),
    "manifest": (lambda value: decode_manifest(value, "here"), b'{"schema":1,"name":"m"}', (ArtefactError,)),
    "weights": (
        lambda value: decode_weights(value, file_of(value), "here"),
        encode_weights({"bias": np.zeros(3, np.float32)}),
        (ArtefactError,),
    ),
}


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("value", [DEEP_JSON, DEEP_MSGPACK, NOT_UTF8, b"", b"\x00", b"\xff" * 64, b"{" * 64])
def test_what_breaks_decoders_is_an_error_of_their_kind(name: str, value: bytes) -> None:
    decode, _, errors = DECODERS[name]
    with contextlib.suppress(*errors):
        decode(value)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(DECODERS)).flatmap(
        lambda name: st.tuples(st.just(name), st.one_of(st.binary(max_size=200), mutated(DECODERS[name][1])))
    )
)
def test_arbitrary_bytes_are_an_error_of_their_kind(named: tuple[str, bytes]) -> None:
    decode, _, errors = DECODERS[named[0]]
    with contextlib.suppress(*errors):
        decode(named[1])


@contextlib.contextmanager
def at_most(mebibytes: int) -> Iterator[None]:
    """Fail where more memory was taken within the block."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < mebibytes * MIB
    finally:
        tracemalloc.stop()


def read_all(name: str, folder: Path) -> None:
    reader = DATASETS[name].reader
    for _ in reader.ratings(folder):
        pass
    for _ in reader.items(folder):
        pass
    for _ in reader.users(folder):
        pass


PLACES = sorted((name, file) for name, files in FILES.items() for file in files)


@settings(max_examples=120, deadline=None)
@given(
    st.sampled_from(PLACES).flatmap(
        lambda place: st.tuples(
            st.just(place),
            st.one_of(
                st.binary(max_size=200), mutated(FILES[place[0]][place[1]].encode(ENCODINGS[place[0]]))
            ),
        )
    )
)
def test_readers_of_data_sets_raise_data_errors_only(damaged: tuple[tuple[str, str], bytes]) -> None:
    (name, file), content = damaged
    with tempfile.TemporaryDirectory() as temporary:
        folder = write_dataset(Path(temporary), name)
        (folder / file).write_bytes(gzip.compress(content) if file.endswith(".gz") else content)
        with contextlib.suppress(DataError):
            read_all(name, folder)


def test_a_packed_file_that_is_a_bomb_is_refused(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path, "the-movies-dataset")
    bomb = folder / "movies_features_45k.csv.gz"
    with gzip.open(bomb, "wb", compresslevel=1) as file:
        file.write(b"id,title,genres,runtime,vote_average,vote_count,year,original_language\n")
        for _ in range(256):
            file.write(b"a" * MIB)
    assert bomb.stat().st_size < 4 * MIB
    with (
        at_most(32),
        pytest.raises(DataError, match=f"line 2: .*expected at most {MAX_LINE_CHARACTERS:,} characters"),
    ):
        read_all("the-movies-dataset", folder)


def test_a_line_without_an_end_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ratings.csv"
    file.write_bytes(b"u,i,r,t\n" + b"1" * (40 * MIB))
    columns = ColumnMap(**parse_columns("user=u,item=i,rating=r,time=t"))
    with at_most(32), pytest.raises(DataError, match="expected at most"):
        list(MappedFileReader("ratings.csv", columns).ratings(tmp_path))


ARRAYS = {"a": np.arange(3.0), "empty": np.zeros((0, 4), np.float32), "one": np.array(7, np.int64)}


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_a_damaged_checkpoint_is_a_checkpoint_error(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        store = CheckpointStore(Path(temporary))
        store.save(ARRAYS, {"lane": 0})
        files = sorted(path for path in Path(temporary).rglob("*") if path.is_file())
        place = data.draw(st.sampled_from(files))
        place.write_bytes(data.draw(st.one_of(st.binary(max_size=100), mutated(place.read_bytes()))))
        with contextlib.suppress(CheckpointError):
            loaded = CheckpointStore(Path(temporary)).load()
            assert loaded is not None
            # What verifies is what was saved.
            assert loaded.meta == {"lane": 0}
            assert {name: array.tolist() for name, array in loaded.arrays.items()} == {
                name: array.tolist() for name, array in ARRAYS.items()
            }


def manifest_of(folder: Path, **array: Any) -> Path:
    """A manifest that verifies, of one array that is described like this."""
    body = {"schema": 1, "version": 1, "meta": {}, "arrays": {"a": array}}
    digest = hashlib.sha256(msgspec.json.encode(body, order="sorted")).hexdigest()
    path = folder / "manifest-0000000001.json"
    path.write_bytes(msgspec.json.encode({**body, "sha256": digest}))
    return path


@pytest.mark.parametrize(
    "array",
    [
        {"dtype": "<f8", "shape": [3], "sha256": "/dev/zero"},
        {"dtype": "<f8", "shape": [3], "sha256": "../../../../../../etc/passwd"},
        {"dtype": "<f8", "shape": [3], "sha256": "f" * 63},
        {"dtype": "O", "shape": [3], "sha256": "f" * 64},
        {"dtype": "<f8", "shape": [-1], "sha256": "f" * 64},
        {"dtype": "f8," * 60, "shape": [1], "sha256": "f" * 64},
        {"dtype": "<f8", "shape": [2**40], "sha256": "f" * 64},
    ],
)
def test_a_manifest_leads_nowhere_and_asks_for_nothing_that_is_not_there(
    array: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "objects").mkdir()
    (tmp_path / "objects" / ("f" * 64)).write_bytes(b"\0" * 24)
    manifest_of(tmp_path, **array)
    with at_most(16), pytest.raises(CheckpointError):
        CheckpointStore(tmp_path).load()


def sparse(path: Path, tebibytes: int = 1) -> None:
    """A file that says that it is this large, and takes no room."""
    with path.open("r+b") as file:
        file.truncate(tebibytes << 40)


def test_files_that_are_larger_than_they_should_be_are_not_read(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "checkpoints")
    store.save({"a": np.arange(3.0)}, {})
    (array,) = (tmp_path / "checkpoints" / "objects").iterdir()
    sparse(array)
    with at_most(16), pytest.raises(CheckpointError):
        store.load()
    registry = ModelRegistry(str(tmp_path / "registry"))
    registry.save(artefact())
    sparse(tmp_path / "registry" / NAME / "1" / "model.safetensors")
    with at_most(16), pytest.raises(ArtefactError, match="expected at most"):
        registry.load(NAME, 1)
    sparse(tmp_path / "registry" / NAME / "1" / "manifest.json")
    with at_most(16), pytest.raises(ArtefactError, match="expected at most"):
        registry.load(NAME, 1)


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=40))
@example("a=" + "[" * 100_000)
def test_corrections_of_dead_letters_are_settings_errors(text: str) -> None:
    with contextlib.suppress(SettingsError):
        parse_corrections([text])


@settings(max_examples=80, deadline=None)
@given(
    content=st.one_of(
        st.binary(max_size=100), mutated(b'batch_size = 4\nmodels = ["hebbian"]\n[model.isgd]\nrate = 0.5\n')
    )
)
def test_settings_files_raise_our_errors_only(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "engram.toml"
        path.write_bytes(content)
        with contextlib.suppress(EngramError):
            load({}, path, {})
