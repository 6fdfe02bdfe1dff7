"""`engram graph` on a small run: exports, profile, page and steps, and errors that name what is wrong."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import networkx
import numpy as np
import pytest
from typer.testing import CliRunner

from engram.cli import app
from engram.deployment import open_deployment
from engram.graph_layout import layout
from engram.graph_network import radius
from engram.graph_relearn import positions, snapshots
from engram.graph_source import lane_config_of, load_checkpoint, snapshot_of_checkpoint
from engram.parts import build_learner, build_replay, create_topics, open_log
from engram.settings import Settings, load_saved, to_toml
from engram.source import open_stream
from eventlog.errors import LogError, OffsetGoneError, SettingsError
from eventlog.log import Record
from eventlog.sqlite_log import SqliteLog
from eventlog.topics import Topics
from online_models.synapse_view import SynapseView
from producers.replay import publish_metadata

EVENTS = 1_500
MODELS = ("popularity", "hebbian", "user_hebbian")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two partitions, in this process."""
    folder = tmp_path_factory.mktemp("run")
    settings = Settings(
        dataset="synthetic",
        limit=EVENTS,
        seed=3,
        models=MODELS,
        partitions=2,
        log_path=str(folder / "log.sqlite"),
        checkpoint_dir=str(folder / "checkpoints"),
        checkpoint_every_events=400,
        checkpoint_every_s=1e9,
        topic_prefix="run",
        batch_size=100,
        pack=16,
    )
    (folder / "settings.toml").write_text(to_toml(settings), "utf-8")
    topics = Topics.with_prefix("run")
    stream = open_stream(settings, None)
    with open_log(settings) as log:
        create_topics(log, topics, settings.partitions)
        publish_metadata(log, topics, stream)
        learner = build_learner(settings, log, topics, until_end=True)
        replay = build_replay(settings, log, topics, stream)
        while not learner.done:
            replay.step()
            learner.step(0.0 if not replay.done else 0.05)
        replay.close()
        learner.close()
    return folder


def graph(run: Path, out: Path, *flags: str) -> dict[str, Any]:
    """Run the command; return its figures.json."""
    done = CliRunner().invoke(app, ["graph", str(run), "--out", str(out), "--neurons", "30", *flags])
    if done.exception is not None:
        raise done.exception
    for line in done.stdout.splitlines()[:-1]:
        assert Path(line.strip()).is_file()
    found: dict[str, Any] = json.loads((out / "figures.json").read_text("utf-8"))
    return found


@pytest.fixture(scope="module")
def drawn(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("graph")
    graph(run, out, "--over-time", "--steps", "4", "--top", "5")
    return out


def snapshot(run: Path, model: str) -> Any:
    return snapshot_of_checkpoint(load_checkpoint(run, 0, None), model)


def test_exports_round_trip_and_hold_the_strongest_synapses(run: Path, drawn: Path) -> None:
    graphml = networkx.read_graphml(drawn / "graph.graphml")
    links = networkx.node_link_graph(json.loads((drawn / "graph.json").read_text("utf-8")), edges="edges")
    assert graphml.is_directed()
    assert dict(graphml.nodes(data=True)) == dict(links.nodes(data=True))
    assert sorted(graphml.edges(data="weight")) == sorted(links.edges(data="weight"))
    assert links.graph == {
        "model": "hebbian",
        "neurons": "item",
        "events": EVENTS,
        "threshold": 0.1,
        "top": 5,
        "seed": 0,
    }
    found = snapshot(run, "hebbian")
    row_of = {name: row for row, name in enumerate(found.ids)}
    chosen = sorted(row_of[node] for node in links)
    assert len(chosen) == 30
    assert min(found.view.activity[chosen]) >= np.sort(found.view.activity)[-30]
    # What each of them should have: its five strongest among the thirty, from the whole view.
    kept = set(chosen)
    for node, said in links.nodes(data=True):
        row = row_of[node]
        assert said["activity"] == found.view.activity[row]
        assert set(said) == {
            *("title", "genres", "community", "last_activity", "x", "y", "activity"),
        }
        of = (found.view.pre == row) & (found.view.weight > 0.1)
        synapses = [
            (weight, post)
            for post, weight in zip(found.view.post[of].tolist(), found.view.weight[of].tolist(), strict=True)
            if post in kept
        ]
        expected = sorted(synapses, key=lambda one: (-one[0], one[1]))[:5]
        have = {row_of[other]: weight for _, other, weight in links.out_edges(node, data="weight")}
        assert have == {post: weight for weight, post in expected}


def test_communities_and_modularity_are_those_of_the_graph(drawn: Path) -> None:
    links = networkx.node_link_graph(json.loads((drawn / "graph.json").read_text("utf-8")), edges="edges")
    groups: dict[int, set[str]] = {}
    for node, community in links.nodes(data="community"):
        groups.setdefault(community, set()).add(node)
    said = json.loads((drawn / "figures.json").read_text("utf-8"))
    assert said["modularity"] == pytest.approx(networkx.community.modularity(links, groups.values()))
    assert [one["size"] for one in said["described"]] == [len(groups[at]) for at in range(len(groups))]
    assert said["communities"] == sum(1 for group in groups.values() if len(group) > 1)


def test_learned_again_the_last_step_is_the_checkpoint(run: Path, drawn: Path) -> None:
    said = json.loads((drawn / "figures.json").read_text("utf-8"))
    assert [step["events"] for step in said["steps"]] == [375, 750, 1125, 1500]
    assert {name: said[name] for name in said["steps"][-1]} == said["steps"][-1]
    checkpoint = load_checkpoint(run, 0, None)
    settings = msgspec.structs.replace(load_saved(run / "settings.toml"), log_path=str(run / "log.sqlite"))
    with open_deployment(settings) as (log, _):
        for model in ("hebbian", "user_hebbian"):
            config = lane_config_of(checkpoint.meta, model)
            *_, last = snapshots(log, settings, checkpoint.meta, config, [700, EVENTS])
            expected = snapshot_of_checkpoint(checkpoint, model)
            assert (last.events, last.ids) == (expected.events, expected.ids)
            np.testing.assert_array_equal(last.last_ms, expected.last_ms)
            for have, want in zip(last.view, expected.view, strict=True):
                np.testing.assert_array_equal(have, want)


def test_the_profile_has_both_directions_strongest_first(run: Path, drawn: Path) -> None:
    lines = list(csv.DictReader(io.StringIO((drawn / "profile.csv").read_text("utf-8"))))
    found = snapshot(run, "hebbian")
    row = int(np.argmax(found.view.activity))
    for direction, end, other in (("out", "pre", "post"), ("in", "post", "pre")):
        of = (getattr(found.view, end) == row) & (found.view.weight > 0.1)
        weights = np.sort(found.view.weight[of])[::-1]
        mine = [line for line in lines if line["direction"] == direction]
        assert [float(line["weight"]) for line in mine] == pytest.approx(weights[:20], rel=1e-5)
        assert [float(line["share"]) for line in mine] == pytest.approx(
            weights[:20] / weights.sum(), rel=1e-5
        )
        ids = {found.ids[at] for at in getattr(found.view, other)[of].tolist()}
        assert {line["id"] for line in mine} <= ids
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", lines[0]["last_activity"])
    assert lines[0]["title"]


def test_pictures_are_png_files(drawn: Path) -> None:
    pictures = ("graph", "distributions", "profile", "steps", "growth", "profile-over-time")
    for name in pictures:
        assert (drawn / f"{name}.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


class _Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_the_page_has_all_steps_and_asks_for_nothing_from_elsewhere(drawn: Path) -> None:
    text = (drawn / "graph.html").read_text("utf-8")
    tags = _Tags(text).tags
    assert not [tag for tag, of in tags if {"src", "href", "srcset", "action", "data"} & of.keys()]
    assert not [tag for tag, _ in tags if tag in {"link", "iframe", "img", "object", "embed"}]
    assert not re.search(r"https?:|url\(|@import|fetch\(|XMLHttpRequest|WebSocket", text)
    [policy] = [of["content"] for _, of in tags if of.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    script = re.search(r'<script type="application/json" id="data">(.*?)</script>', text)
    assert script is not None
    data = json.loads(script[1])
    assert [step["figures"]["events"] for step in data["steps"]] == [375, 750, 1125, 1500]
    links = json.loads((drawn / "graph.json").read_text("utf-8"))
    assert [node[0] for node in data["nodes"]] == [node["id"] for node in links["nodes"]]
    assert len(data["steps"][-1]["weight"]) == len(links["edges"])


def test_users_are_neurons_too_and_an_older_checkpoint_is_drawn(run: Path, tmp_path: Path) -> None:
    oldest = sorted(int(path.name[9:-5]) for path in run.glob("checkpoints/lane-0/manifest-*.json"))[0]
    said = graph(run, tmp_path, "--model", "user_hebbian", "--checkpoint", str(oldest))
    assert said["neurons_are"] == "users"
    assert said["events"] < EVENTS
    first = json.loads((tmp_path / "graph.json").read_text("utf-8"))["nodes"][0]
    said = graph(run, tmp_path, "--model", "user_hebbian", "--user", first["id"])
    assert said["events"] == EVENTS


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--item", "nothing-like-it"), r"item is 'nothing-like-it', expected the id of one of the"),
        (("--user", "u7"), r"user is 'u7', but the neurons of this model are items: give --item ID"),
        (("--item", "a", "--user", "b"), r"item is 'a' and user is 'b', expected one of them"),
        (("--model", "popularity"), r"model is 'popularity', expected one with synapses \(hebbian, user_heb"),
        (("--model", "isgd"), r"model is 'isgd', .* the run did not learn it"),
        (("--checkpoint", "999"), r"checkpoint is 999, expected one of \["),
        (("--lane", "4"), r"lane is 4, expected one with checkpoints in .*: 0"),
    ],
)
def test_what_is_not_there_is_named(run: Path, tmp_path: Path, flags: tuple[str, ...], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        graph(run, tmp_path, *flags)


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"run is .*expected the folder of a run"):
        graph(tmp_path, tmp_path / "out")


def test_without_the_log_ids_are_names_and_steps_are_refused(run: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    moved.mkdir()
    (moved / "settings.toml").write_bytes((run / "settings.toml").read_bytes())
    (moved / "checkpoints").symlink_to(run / "checkpoints")
    graph(moved, tmp_path / "out")
    nodes = json.loads((tmp_path / "out" / "graph.json").read_text("utf-8"))["nodes"]
    assert all(node["title"] == node["id"] for node in nodes)
    with pytest.raises(SettingsError, match="expected the file of a log"):
        graph(moved, tmp_path / "out", "--over-time")


def test_positions_are_equally_spaced_and_end_at_the_end() -> None:
    assert positions(100, 4) == [25, 50, 75, 100]
    assert positions(3, 10) == [1, 2, 3]


def test_a_layout_is_deterministic_and_has_room_for_all_circles() -> None:
    rng = np.random.default_rng(4)
    n = 40
    pre, post = np.nonzero(rng.random((n, n)) < 0.1)
    view = SynapseView(
        "item",
        np.arange(n, dtype=np.int32),
        pre.astype(np.int32),
        post.astype(np.int32),
        rng.random(len(pre)),
        rng.random(n) + 0.1,
    )
    community = (np.arange(n) % 3).astype(np.int32)
    radii = radius(view.activity, float(view.activity.max()))
    place = layout(view, community, radii, seed=1)
    np.testing.assert_array_equal(place, layout(view, community, radii, seed=1))
    assert np.abs(place).max() <= 1
    apart = np.sqrt(((place[:, None] - place[None]) ** 2).sum(axis=2))
    overlap = radii[:, None] + radii[None] - apart
    np.fill_diagonal(overlap, 0)
    assert overlap.max() <= 0
    assert layout(view, community[:1], radii[:1], seed=1).shape == (1, 2)


def test_a_log_that_lost_its_beginning_is_refused(run: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(run, 0, None)
    topic = checkpoint.meta["topic"]
    with SqliteLog(tmp_path / "log.db") as log:
        log.create_topic(topic, 2, retention_ms=1)
        with log.writer() as writer:
            writer.append(topic, 0, [Record(b"u", b"{}")])
        log.enforce_retention(now_ms=1 << 50)
        config = lane_config_of(checkpoint.meta, "hebbian")
        with pytest.raises(OffsetGoneError, match=r"partition 0, begins at offset 1"):
            list(snapshots(log, Settings(), checkpoint.meta, config, [10]))


def test_a_log_that_ends_before_the_checkpoint_is_refused(run: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(run, 0, None)
    with SqliteLog(tmp_path / "log.db") as log:
        log.create_topic(checkpoint.meta["topic"], 2)
        config = lane_config_of(checkpoint.meta, "hebbian")
        with pytest.raises(LogError, match=r"ends after 0 events, expected 10"):
            list(snapshots(log, Settings(), checkpoint.meta, config, [10]))
