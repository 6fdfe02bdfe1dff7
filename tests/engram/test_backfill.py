"""A second learner learns the log anew while the first one serves, and takes its place: docs/operations.md, "Learning anew"."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from consumers.checkpoint import CheckpointStore
from consumers.evaluator import Evaluator
from consumers.learner import GROUP, Learner
from engram.cli import app
from engram.parts import build_learner, build_replay, create_topics, open_log, topics_of
from engram.settings import Settings, load
from engram.source import open_stream
from eventlog.errors import SettingsError
from eventlog.log import Log

EVENTS = 2_000


def settings_in(folder: Path, checkpoints: str, **changes: Any) -> Settings:
    given = {
        "log_path": str(folder / "log.sqlite"),
        "checkpoint_dir": str(folder / checkpoints),
        "dataset": "synthetic",
        "limit": EVENTS,
        "pack": 50,
        "models": ("popularity",),
        "merge": False,
        **changes,
    }
    return load(given, environment={})


def started(settings: Settings, log: Log) -> Learner:
    topics = topics_of(settings)
    create_topics(log, topics, settings.partitions)
    return build_learner(settings, log, topics, until_end=False)


def catch_up(one: Learner) -> None:
    while one.step(0.0):
        pass


def evaluated(settings: Settings, log: Log, folder: Path) -> int:
    """How many events an evaluator of what a learner writes has seen."""
    store = CheckpointStore(folder / "evaluator")
    with Evaluator(log, topics_of(settings).predictions, lanes=(), store=store) as evaluator:
        while evaluator.step(0.0):
            pass
        return evaluator.events


def test_a_second_learner_learns_the_log_anew_beside_the_first_and_takes_its_place(tmp_path: Path) -> None:
    first = settings_in(tmp_path, "checkpoints")
    second = settings_in(
        tmp_path, "checkpoints-2", output_prefix="engram-2", models=("popularity", "decayed_popularity")
    )
    with open_log(first) as log:
        serving = started(first, log)
        replay = build_replay(first, log, topics_of(first), open_stream(first, None))
        for _ in range(20):
            replay.step()
        catch_up(serving)
        anew = started(second, log)
        catch_up(anew)
        # Both go on, each with its own outputs and offsets.
        while not replay.done:
            replay.step()
        replay.close()
        for one in (serving, anew):
            catch_up(one)
            one.close()
        learned = [one.streams[0].lane.learned for one in (serving, anew)]
        assert learned == [EVENTS, EVENTS]
        assert set(anew.streams[0].lane.models) == {"popularity", "decayed_popularity"}
        assert [
            evaluated(one, log, tmp_path / name) for name, one in (("a", first), ("b", second))
        ] == learned
        ends = {p: bounds.end for p, bounds in log.bounds(topics_of(first).ratings).items()}
        for group in (GROUP, f"{GROUP}-engram-2"):
            assert log.committed(group, topics_of(first).ratings) == ends
        # The swap: what served is stopped, and the other goes on where it was.
        gone_on = started(second, log)
        assert gone_on.streams[0].lane.learned == EVENTS
        gone_on.close()
    said = CliRunner().invoke(
        app, ["offsets", "--log-path", str(tmp_path / "log.sqlite"), "--output-prefix", "engram-2"]
    )
    assert said.exit_code == 0, said.output
    assert f"{GROUP}-engram-2" in said.output and "engram-2.predictions" in said.output


def test_batch_models_are_adopted_by_one_learner_only(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="output_prefix is 'engram-2' and batch is among the models"):
        topics_of(settings_in(tmp_path, "checkpoints", output_prefix="engram-2", models=("batch",)))
