"""One stream, one digest: the log, the poll size, the packing and the partitions change nothing.

The digest covers the models' state, the figures and the last source sequence.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engram.inline import run_inline
from engram.settings import Settings

LIMIT = 6_000


def digest(data_dir: Path, folder: Path, **settings: Any) -> str:
    """Digest of the first events of ML-100K of five stars, all default models."""
    chosen = {"dataset": "ml-100k", "data_dir": str(data_dir), "min_rating": 5.0, "limit": LIMIT, **settings}
    return str(run_inline(Settings(**chosen), folder)["digest"])


@pytest.fixture(scope="module")
def reference(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest of a plain run: embedded log, defaults."""
    return digest(data_dir, tmp_path_factory.mktemp("reference"))


@pytest.mark.data
@pytest.mark.parametrize("partitions", [1, 4])
@pytest.mark.parametrize(
    ("batch_size", "pack"), [(1, 1), (7, 16), (4096, 256), (1, 256), (4096, 1), (7, 256)]
)
def test_embedded(
    data_dir: Path, tmp_path: Path, reference: str, partitions: int, batch_size: int, pack: int
) -> None:
    assert digest(data_dir, tmp_path, partitions=partitions, batch_size=batch_size, pack=pack) == reference


@pytest.mark.data
@pytest.mark.kafka
@pytest.mark.parametrize(
    ("partitions", "batch_size", "pack"),
    [(1, 4096, 256), (4, 4096, 256), (4, 7, 16), (1, 4096, 1), (4, 1, 256)],
)
def test_kafka(
    data_dir: Path,
    tmp_path: Path,
    kafka_bootstrap: str,
    reference: str,
    partitions: int,
    batch_size: int,
    pack: int,
) -> None:
    found = digest(
        data_dir,
        tmp_path,
        log="kafka",
        kafka=kafka_bootstrap,
        partitions=partitions,
        batch_size=batch_size,
        pack=pack,
    )
    assert found == reference


@pytest.mark.data
@pytest.mark.full
@pytest.mark.kafka
@pytest.mark.parametrize("log", ["embedded", "kafka"])
@pytest.mark.parametrize("partitions", [1, 4])
@pytest.mark.parametrize("batch_size", [1, 7, 4096])
@pytest.mark.parametrize("pack", [1, 16, 256])
def test_every_combination(
    data_dir: Path,
    tmp_path: Path,
    kafka_bootstrap: str,
    reference: str,
    log: str,
    partitions: int,
    batch_size: int,
    pack: int,
) -> None:
    chosen = {"log": log, "partitions": partitions, "batch_size": batch_size, "pack": pack}
    if log == "kafka":
        chosen["kafka"] = kafka_bootstrap
    assert digest(data_dir, tmp_path, **chosen) == reference


@pytest.mark.data
def test_another_stream_has_another_digest(data_dir: Path, tmp_path: Path, reference: str) -> None:
    assert digest(data_dir, tmp_path, limit=LIMIT - 1) != reference
    assert digest(data_dir, tmp_path, tie_order="file") != reference


def test_a_poll_of_more_events_than_a_block_of_predictions_holds(tmp_path: Path) -> None:
    chosen: dict[str, Any] = {"dataset": "synthetic", "limit": 40_000, "models": ("popularity",)}
    whole = run_inline(Settings(**chosen, batch_size=1_000_000), tmp_path / "whole")
    parts = run_inline(Settings(**chosen, batch_size=4_096), tmp_path / "parts")
    assert whole["digest"] == parts["digest"]
