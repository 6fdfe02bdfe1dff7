"""The registry of batch models on a disk and in memory: versions, the alias, and what is refused."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import msgspec
import numpy as np
import pytest

from eventlog.artefact import Artefact, Manifest, Ridge, Trace, check, digest_of
from eventlog.errors import (
    ArtefactCorruptError,
    ArtefactError,
    ArtefactMismatchError,
    ArtefactNewerError,
    ArtefactTornError,
    SettingsError,
)
from eventlog.model_registry import Champion, ModelRegistry

NAME = "small"


def artefact(seed: int = 0, **changes: Any) -> Artefact:
    rng = np.random.default_rng(seed)
    said: dict[str, Any] = {
        "name": NAME,
        "kind": "factors",
        "encoder": Trace(length=3),
        "item_ids": ["a", "b", "ü"],
        "parameters": {"factors": 2},
        "seed": seed,
        "events": 10,
        "clock_time_ms": 5,
        "data_digest": "d",
        "scale": (1.0, 5.0),
        "created": "2026-01-01T00:00:00+00:00",
    }
    arrays = {
        "item_in": rng.normal(size=(3, 2)).astype(np.float32),
        "item_out": rng.normal(size=(3, 2)).astype(np.float32),
        "bias": np.zeros(3, np.float32),
    }
    return Artefact(Manifest(**(said | changes)), arrays)


@pytest.fixture(params=["disk", "memory"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "registry") if request.param == "disk" else f"memory://{secrets.token_hex(8)}"


@pytest.fixture
def registry(address: str) -> ModelRegistry:
    return ModelRegistry(address)


def file(registry: ModelRegistry, *parts: object) -> tuple[Any, str]:
    """The file system, and the path of a file of version 1."""
    system, root = fsspec.core.url_to_fs(registry.address)
    return system, "/".join([root, NAME, *map(str, parts)])


def test_what_was_saved_is_loaded(registry: ModelRegistry) -> None:
    assert registry.names() == []
    assert registry.versions(NAME) == []
    first, second = artefact(1), artefact(2, encoder=Ridge(unobserved_weight=0.1, regularization=0.5))
    assert [registry.save(one).version for one in (first, second)] == [1, 2]
    assert registry.names() == [NAME]
    assert registry.versions(NAME) == [1, 2]
    for version, saved in ((1, first), (2, second)):
        loaded = registry.load(NAME, version)
        assert loaded.manifest.version == version
        assert loaded.manifest.encoder == saved.manifest.encoder
        assert loaded.manifest.item_ids == ["a", "b", "ü"]
        for name, array in saved.arrays.items():
            assert loaded.arrays[name].dtype == np.float32
            assert (loaded.arrays[name] == array).all()


def test_the_alias_goes_forward_and_back(registry: ModelRegistry) -> None:
    for seed in range(3):
        registry.save(artefact(seed))
    assert registry.champion(NAME) is None
    with pytest.raises(ArtefactError, match="no champion before"):
        registry.rollback(NAME)
    assert registry.promote(NAME, 1) == Champion(1)
    assert registry.promote(NAME, 3) == Champion(3, (1,))
    assert registry.promote(NAME, 3) == Champion(3, (1,))
    assert registry.promote(NAME, 2) == Champion(2, (1, 3))
    assert registry.rollback(NAME) == Champion(3, (1,))
    assert ModelRegistry(registry.address).champion(NAME) == Champion(3, (1,))
    assert registry.rollback(NAME) == Champion(1)
    with pytest.raises(ArtefactTornError):
        registry.promote(NAME, 9)
    assert registry.champion(NAME) == Champion(1)


def test_the_digest_is_of_what_scores_depend_on(registry: ModelRegistry) -> None:
    same = [registry.save(artefact(4)), registry.save(artefact(4, created="later", metrics={"recall": 0.5}))]
    assert digest_of(same[0]) == digest_of(same[1])
    others = [artefact(5), artefact(4, encoder=Trace(length=4)), artefact(4, item_ids=["a", "b", "c"])]
    assert len({digest_of(registry.save(other)) for other in others} | {digest_of(same[0])}) == 4


def test_a_version_that_was_not_finished_does_not_exist_and_its_number_is_not_used_again(
    registry: ModelRegistry,
) -> None:
    registry.save(artefact())
    registry.save(artefact())
    system, manifest = file(registry, 2, "manifest.json")
    system.rm(manifest)
    assert registry.versions(NAME) == [1]
    with pytest.raises(ArtefactTornError, match="is missing"):
        registry.load(NAME, 2)
    assert registry.save(artefact()).version == 3


def _cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _flip(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


def _newer(content: bytes) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(content) | {"schema": 99, "unknown": 1})


def _of_another(content: bytes) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(content) | {"name": "other"})


@pytest.mark.parametrize(
    ("name", "damage", "error"),
    [
        ("model.safetensors", _cut, ArtefactCorruptError),
        ("model.safetensors", _flip, ArtefactCorruptError),
        ("manifest.json", _cut, ArtefactCorruptError),
        ("manifest.json", lambda _: b"\xff", ArtefactCorruptError),
        ("manifest.json", lambda _: b"[]", ArtefactCorruptError),
        ("manifest.json", _of_another, ArtefactCorruptError),
        ("manifest.json", _newer, ArtefactNewerError),
    ],
)
def test_damage_is_named(
    registry: ModelRegistry, name: str, damage: Callable[[bytes], bytes], error: type[ArtefactError]
) -> None:
    registry.save(artefact())
    system, path = file(registry, 1, name)
    system.pipe_file(path, damage(system.cat_file(path)))
    with pytest.raises(error, match=name.replace(".", r"\.")):
        registry.load(NAME, 1)


def test_missing_weights_are_torn(registry: ModelRegistry) -> None:
    registry.save(artefact())
    system, path = file(registry, 1, "model.safetensors")
    system.rm(path)
    with pytest.raises(ArtefactTornError) as found:
        registry.load(NAME, 1)
    assert found.value.reason == "torn"


@pytest.mark.parametrize(
    ("changes", "arrays", "said"),
    [
        ({"kind": "lists"}, {}, "kind is 'lists', expected 'factors'"),
        ({"item_ids": ["a", "b"]}, {}, r"item_in is float32\[3, 2\], expected float32\[2, 2\]"),
        ({"item_ids": ["a", "a", "b"]}, {}, "item_ids are not distinct"),
        ({"encoder": Trace(step_decay=1.5)}, {}, "step_decay is 1.5"),
        ({"encoder": Ridge(unobserved_weight=0.1, regularization=0.0)}, {}, "regularization is 0.0"),
        ({}, {"bias": np.full(3, np.nan, np.float32)}, "bias holds NaN"),
        ({}, {"item_out": np.zeros((3, 2))}, r"item_out is float64\[3, 2\]"),
        ({}, {"item_out": np.zeros((3, 4), np.float32)}, r"item_out is float32\[3, 4\]"),
        ({}, {"item_in": np.zeros(3, np.float32)}, r"item_in has shape \(3,\)"),
    ],
)
def test_what_does_not_fit_is_refused(
    registry: ModelRegistry, changes: dict[str, Any], arrays: dict[str, Any], said: str
) -> None:
    made = artefact(**changes)
    wrong = Artefact(made.manifest, made.arrays | arrays)
    with pytest.raises(ArtefactMismatchError, match=said):
        check(wrong)
    with pytest.raises(ArtefactMismatchError):
        registry.save(wrong)
    assert registry.versions(NAME) == []


def test_a_name_that_is_a_path_is_refused(registry: ModelRegistry) -> None:
    with pytest.raises(SettingsError, match=r"model is '\.\./x'"):
        registry.versions("../x")
