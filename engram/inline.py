"""A replay within one process: the parts of `engram replay`, stepped in turn. For small runs, and for tests."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import Any

import msgspec

from consumers.checkpoint import CheckpointStore
from consumers.evaluator import Evaluator
from engram.parts import build_learner, build_replay, create_topics, open_log, run_info
from engram.retraining import Triggers
from engram.settings import Settings
from engram.source import find_source, open_stream
from engram.train_log import build_retraining
from eventlog.topics import Topics
from producers.replay import publish_metadata


def run_inline(settings: Settings, folder: Path) -> dict[str, Any]:
    """Replay, learn and evaluate to the end; return the content of result.json.

    folder: for the embedded log and the checkpoints; a second call with the same folder starts anew.
    Raises what the parts raise.
    """
    run = secrets.token_hex(8)
    settings = msgspec.structs.replace(
        settings,
        log_path=str(folder / f"{run}.sqlite"),
        checkpoint_dir=str(folder / f"{run}.checkpoints"),
        registry=str(folder / f"{run}.registry"),
        topic_prefix=f"inline-{run}",
    )
    topics = Topics.with_prefix(settings.topic_prefix)
    source = find_source(settings)
    stream = open_stream(settings, source.folder)
    with open_log(settings) as log:
        create_topics(log, topics, settings.partitions)
        publish_metadata(log, topics, stream)
        learner = build_learner(settings, log, topics, until_end=True)
        replay = build_replay(settings, log, topics, stream)
        every = settings.retrain_every
        retraining = (
            build_retraining(settings, log, topics, settings.batch_model, Triggers(every)) if every else None
        )
        store = CheckpointStore(Path(settings.checkpoint_dir) / "evaluator")
        with Evaluator(log, topics.predictions, store=store) as evaluator:
            started_s = time.monotonic()
            while not evaluator.done:
                replay.step()
                if retraining is not None and not retraining.done:
                    retraining.step(0.0)
                if not learner.done:
                    learner.step(0.0 if not replay.done else 0.05)
                evaluator.step(0.0 if not learner.done else 0.05)
            seconds = time.monotonic() - started_s
            replay.close()
            learner.close()
            if retraining is not None:
                retraining.close()
            return evaluator.result(run_info(settings, source, stream.digest(), seconds))
