"""What `engram demo` adds to the replay: one retraining."""

from __future__ import annotations

import pytest

from engram.demo_command import with_retraining
from engram.settings import Settings
from online_models.registry import DEFAULT_MODELS


@pytest.mark.parametrize(
    ("dataset", "events", "limit", "at"),
    [
        ("ml-1m", 575_281, None, 300_000),
        ("ml-100k", 100_000, None, 60_000),
        ("synthetic", 100_000, None, 60_000),
        ("ml-1m", 2_000, 2_000, 1_200),
        ("ml-1m", 575_281, 600_000, 300_000),
    ],
)
def test_there_is_one_retraining_whatever_is_replayed(
    dataset: str, events: int, limit: int | None, at: int
) -> None:
    settings = with_retraining(Settings(dataset=dataset, limit=limit))
    assert settings.retrain_every == at
    assert events // at == 1
    assert settings.models == (*DEFAULT_MODELS, "batch", "blend_batch")
    assert with_retraining(settings).models == settings.models
