"""`engram recommend` on a small run: what a user sees, filters, and errors that name what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from consumers.lane import Lane
from consumers.lane_config import LaneConfig
from engram.cli import app
from engram.lane_events import events_of
from engram.parts import build_learner, build_replay, create_topics, open_log
from engram.settings import Settings, to_toml
from engram.source import open_stream
from eventlog.errors import SettingsError
from eventlog.events import Kind
from eventlog.topics import Topics
from online_models.interactions import Moment
from producers.replay import publish_metadata

EVENTS = 800
SETTINGS = Settings(
    dataset="synthetic",
    limit=EVENTS,
    seed=3,
    models=("popularity", "hebbian"),
    checkpoint_every_s=1e9,
    topic_prefix="run",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, in this process."""
    folder = tmp_path_factory.mktemp("run")
    settings = Settings(
        **{name: getattr(SETTINGS, name) for name in SETTINGS.__struct_fields__}
        | {"log_path": str(folder / "log.sqlite"), "checkpoint_dir": str(folder / "checkpoints")}
    )
    (folder / "settings.toml").write_text(to_toml(settings), "utf-8")
    topics, stream = Topics.with_prefix("run"), open_stream(settings, None)
    with open_log(settings) as log:
        create_topics(log, topics, 1)
        publish_metadata(log, topics, stream)
        learner = build_learner(settings, log, topics, until_end=True)
        replay = build_replay(settings, log, topics, stream)
        while not learner.done:
            replay.step()
            learner.step(0.0 if not replay.done else 0.05)
        replay.close()
        learner.close()
    return folder


@pytest.fixture(scope="module")
def lane() -> Lane:
    """The same state, learned without a log."""
    stream = open_stream(SETTINGS, None)
    made = Lane(0, (0,), 1, LaneConfig(("hebbian",), {}, top_every=0, seed=3))
    made.test_then_learn(events_of(stream.block(0, EVENTS), 0, stream.source_id, Kind.RATING))
    return made


def invoke(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["recommend", *arguments])
    if done.exception is not None:
        raise done.exception
    return done.stdout


def asked(run: Path, user: str, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(invoke(user, "--run", str(run), "--json", *arguments))
    return found


def a_user(lane: Lane) -> tuple[str, int]:
    """The user with most items, and the row."""
    row = int(lane.rows.histories.length[: len(lane.rows.users)].argmax())
    return lane.rows.users.id_of(row), row


def test_the_plain_list_is_the_models_own(run: Path, lane: Lane) -> None:
    user, row = a_user(lane)
    moment = Moment(lane.now, lane.clock_time_ms, lane.rows.history.items)
    best = lane.models["hebbian"].recommend(row, 7, lane.rows.histories, moment)
    found = asked(run, user, "-k", "7")
    assert (found["model"], found["known"], found["events"], found["lane"]) == ("hebbian", True, EVENTS, 0)
    assert [item["item"] for item in found["items"]] == [
        lane.rows.items.id_of(at) for at in best.items.tolist()
    ]
    assert [item["score"] for item in found["items"]] == best.scores.tolist()
    assert [item["rank"] for item in found["items"]] == list(range(1, 8))
    assert all(item["title"] == f"Synthetic {item['item'][1:]}" for item in found["items"])


def test_the_users_last_event_is_another_moment(run: Path, lane: Lane) -> None:
    user, row = a_user(lane)
    histories = lane.rows.histories
    last_ms = int(histories.times_ms[histories.start[row] + histories.length[row] - 1])
    moment = Moment(lane.now, last_ms, lane.rows.history.items)
    best = lane.models["hebbian"].recommend(row, 10, histories, moment)
    found = asked(run, user, "--at", "last-event")["items"]
    assert [item["score"] for item in found] == best.scores.tolist()


def test_filters_and_what_was_seen(run: Path, lane: Lane) -> None:
    user, row = a_user(lane)
    start, length = lane.rows.histories.start[row], lane.rows.histories.length[row]
    had = {lane.rows.items.id_of(at) for at in lane.rows.histories.items[start : start + length].tolist()}
    fresh = {item["item"] for item in asked(run, user, "-k", "1000")["items"]}
    everything = {item["item"] for item in asked(run, user, "-k", "1000", "--include-seen")["items"]}
    assert everything - fresh == had
    [genre] = asked(run, user, "-k", "1")["items"][0]["genres"]
    other = next(name for name in lane_genres(run, user) if name != genre)
    one = asked(run, user, "-k", "1000", "--genre", other)["items"]
    assert one and all(item["genres"] == [other] for item in one)
    first = asked(run, user, "-k", "2")["items"]
    rest = asked(run, user, "-k", "1", "--without", first[0]["item"])["items"]
    assert rest[0]["item"] == first[1]["item"]


def lane_genres(run: Path, user: str) -> list[str]:
    return sorted({genre for item in asked(run, user, "-k", "1000")["items"] for genre in item["genres"]})


def test_a_diverse_list_has_more_genres(run: Path, lane: Lane) -> None:
    user, _ = a_user(lane)
    plain = asked(run, user)["items"]
    for arguments in (["--diversity", "0.7"], ["--genre-coverage"]):
        diverse = asked(run, user, *arguments)["items"]
        assert len(diverse) == 10
        assert len({item["genres"][0] for item in diverse}) > len({item["genres"][0] for item in plain})


def test_a_newcomer_gets_a_list_and_a_table_says_so(run: Path) -> None:
    said = invoke("nobody", "--run", str(run), "--model", "popularity", "-k", "3")
    assert "For nobody, who is new here, by popularity after 800 events" in said
    assert said.count("Synthetic") == 3
    assert asked(run, "nobody")["known"] is False


def test_years_that_nothing_has_leave_nothing(run: Path) -> None:
    assert "Nothing is left" in invoke("nobody", "--run", str(run), "--year-from", "1990")


def test_checkpoints_without_a_run_have_no_titles(run: Path) -> None:
    found = json.loads(invoke("nobody", "--checkpoints", str(run / "checkpoints"), "--json"))
    assert [item["title"] for item in found["items"]] == [item["item"] for item in found["items"]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--genre", "Drama"], "genre is 'Drama', expected one of Taste 0"),
        (["--without", "film"], "without is 'film', expected the id of one of the"),
        (["--year-from", "2000", "--year-to", "1999"], "year_from is 2000, expected at most year_to"),
        (["--model", "blend"], "model is 'blend', expected one of the run that ranks: popularity, hebbian"),
        (["--lane", "3"], "lane is 3, expected one with checkpoints in"),
    ],
)
def test_bad_requests_are_named(run: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        invoke("nobody", "--run", str(run), *arguments)


def test_a_folder_without_checkpoints_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is none"):
        invoke("nobody", "--checkpoints", str(tmp_path))
    with pytest.raises(SettingsError, match="expected --run DIR or --checkpoints DIR"):
        invoke("nobody")
