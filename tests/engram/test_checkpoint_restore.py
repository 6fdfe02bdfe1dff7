"""`engram checkpoint restore`: back to an older checkpoint, and on from there to the same digest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from consumers.checkpoint import CheckpointStore
from consumers.evaluator import Evaluator
from consumers.result import RunInfo
from engram.checkpoint_cli import app
from eventlog.errors import CheckpointCorruptError, SettingsError
from eventlog.sqlite_log import SqliteLog
from tests.consumers.ratings_log import (
    EVENTS,
    TOPICS,
    create_topics,
    finish,
    learner,
    replay,
    rows,
    summaries,
)

RUN = RunInfo(
    dataset="small",
    data_source="made for this test",
    data_digest=None,
    min_rating=None,
    tie_rule="hash",
    tie_ranking="against",
    seed=41,
    seconds=None,
)


def evaluate(log: SqliteLog, store: CheckpointStore | None = None) -> str:
    """The digest of the run, evaluated (again) to its end."""
    with Evaluator(log, TOPICS.predictions, store=store) as evaluator:
        while not evaluator.done:
            evaluator.step(0.0)
        while evaluator.step(0.0):
            pass
        evaluator.checkpoint()
        return str(evaluator.result(RUN)["digest"])


def restore(folder: Path, version: int) -> str:
    """What the command says."""
    run = CliRunner().invoke(app, ["restore", str(folder), str(version)])
    if run.exception is not None and not isinstance(run.exception, SystemExit):
        raise run.exception
    assert run.exit_code == 0, run.output
    return run.output


@pytest.fixture
def open_log(tmp_path: Path) -> Callable[[], SqliteLog]:
    def make() -> SqliteLog:
        log = SqliteLog(tmp_path / "log.db")
        create_topics(log, 2)
        replay(log, 2, 16, rows())
        return log

    return make


def test_a_learner_goes_on_from_a_restored_checkpoint_to_the_same_digest(
    open_log: Callable[[], SqliteLog], tmp_path: Path
) -> None:
    with open_log() as log:
        directory = tmp_path / "checkpoints"
        finish(learner(log, directory))
        whole = evaluate(log, CheckpointStore(tmp_path / "evaluator"))
        store = CheckpointStore(directory / "lane-0")
        oldest, *_, newest = store.versions()
        learned = {info.version: info.meta["lane"]["learned"] for info in store.describe()}
        assert learned[oldest] < learned[newest] <= EVENTS
        published = log.bounds(TOPICS.predictions)[0].end

        said = restore(directory, oldest)
        assert f"version {oldest} is whole, and is now the newest, as version {newest + 1}" in said
        assert store.versions() == [*learned, newest + 1]
        before, after = store.load_version(oldest), store.load()
        assert after is not None
        assert after.version == newest + 1
        assert after.meta == before.meta
        assert all(info.problem is None for info in store.describe())

        finish(learner(log, directory))
        # It has published again what came after: the evaluator that has had it, and a new one, agree.
        assert log.bounds(TOPICS.predictions)[0].end > published
        assert len(summaries(log)) == 2
        assert evaluate(log, CheckpointStore(tmp_path / "evaluator")) == evaluate(log) == whole
        reached = store.load()
        assert reached is not None
        assert reached.meta["lane"]["learned"] == learned[newest]


def test_a_corrupt_checkpoint_is_not_restored(open_log: Callable[[], SqliteLog], tmp_path: Path) -> None:
    with open_log() as log:
        finish(learner(log, tmp_path / "checkpoints"))
    folder = tmp_path / "checkpoints" / "lane-0"
    versions = CheckpointStore(folder).versions()
    manifest = folder / f"manifest-{versions[0]:010d}.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"learned":', b'"learnt":'))
    with pytest.raises(CheckpointCorruptError):
        restore(folder, versions[0])
    assert CheckpointStore(folder).versions() == versions


def test_what_cannot_be_restored_is_said(tmp_path: Path) -> None:
    for owner in ("lane-0", "evaluator"):
        CheckpointStore(tmp_path / owner).save({}, {})
    with pytest.raises(SettingsError, match=r"has 2 owners, expected one of .*evaluator, .*lane-0"):
        restore(tmp_path, 1)
    with pytest.raises(SettingsError, match=r"version is 7, expected one of \[1\]"):
        restore(tmp_path / "lane-0", 7)
