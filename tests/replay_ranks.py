"""Ranks and ratings of every model over a short replay, read back from its log: `python -m tests.replay_ranks DIR`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from consumers.predictions import PredictionBlock, decode_prediction
from engram.inline import run_inline
from engram.settings import Settings
from eventlog.sqlite_log import SqliteLog
from eventlog.topics import Topics
from online_models.registry import MODELS

EVENTS = 300


def replay_ranks(folder: Path) -> dict[str, Any]:
    """Replay `EVENTS` events; ranks, ratings: {model: one value an event}; a rating is NaN where none is said."""
    settings = Settings(dataset="synthetic", limit=EVENTS, batch_size=64, partitions=2, models=tuple(MODELS))
    run_inline(settings, folder)
    [path] = folder.glob("*.sqlite")
    ranks: dict[str, list[int]] = {}
    ratings: dict[str, list[float]] = {}
    topic = Topics.with_prefix(f"inline-{path.stem}").predictions
    with SqliteLog(path) as log, log.reader(topic, [0, 1]) as reader:
        while batches := reader.poll(1_000, 0.0):
            for batch in batches:
                for value in batch.values:
                    block = decode_prediction(value)
                    if not isinstance(block, PredictionBlock):
                        continue
                    for name, column in block.ranks.items():
                        ranks.setdefault(name, []).extend(column.tolist())
                    for name, predicted in block.predicted.items():
                        ratings.setdefault(name, []).extend(predicted.tolist())
    return {"ranks": ranks, "ratings": ratings}


if __name__ == "__main__":
    print(json.dumps(replay_ranks(Path(sys.argv[1]))))
