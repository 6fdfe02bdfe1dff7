"""Gauges of synapses: exact when all rows are looked at, scaled up when some are, and taken at checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from consumers.lane import Lane
from consumers.lane_config import LaneConfig
from consumers.learner import Learner, LearnerConfig
from consumers.metrics import LearnerMetrics
from consumers.synapse_gauges import synapse_gauges
from eventlog.sqlite_log import SqliteLog
from online_models.synapse_figures import synapse_figures
from tests.consumers.ratings_log import LANE, LIMITS, TOPICS, create_topics, finish, learner, replay, rows


@pytest.fixture
def lane(tmp_path: Path) -> Lane:
    with SqliteLog(tmp_path / "log.db") as log:
        create_topics(log, 1)
        replay(log, 1, 16, rows())
        return finish(learner(log, tmp_path / "checkpoints"))._streams[0].lane


def test_gauges_are_the_figures_of_all_rows(lane: Lane) -> None:
    gauges = synapse_gauges([lane])
    view = lane.models["hebbian"].synapse_view(lane.now)
    assert view is not None
    figures = synapse_figures(view)
    assert gauges["engram_synapses"] == {("hebbian",): figures.synapses}
    assert gauges["engram_synapse_density_ratio"][("hebbian",)] == pytest.approx(figures.density)
    assert gauges["engram_synapse_weight_quantile"] == {
        ("hebbian", f"{q:g}"): value for q, value in figures.quantiles.items()
    }


def test_some_rows_are_scaled_up_and_lanes_are_added(lane: Lane) -> None:
    view = lane.models["hebbian"].synapse_view(lane.now)
    assert view is not None
    neurons = len(view.activity)
    active = view.above(0.1)
    # Two rows, the first and the last.
    seen = int(((active.pre == 0) | (active.pre == neurons - 1)).sum())
    gauges = synapse_gauges([lane], rows=2)
    assert gauges["engram_synapses"] == {("hebbian",): round(seen * neurons / 2)}
    whole, twice = synapse_gauges([lane]), synapse_gauges([lane, lane])
    assert twice["engram_synapses"][("hebbian",)] == 2 * whole["engram_synapses"][("hebbian",)]
    assert twice["engram_synapse_density_ratio"] == pytest.approx(whole["engram_synapse_density_ratio"])


def test_before_any_event_there_is_nothing_to_say() -> None:
    empty = Lane(0, [0], 1, LaneConfig(models=("hebbian", "popularity"), configs={}))
    assert not any(synapse_gauges([empty]).values())


def test_the_learner_publishes_them_at_its_checkpoints(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    with SqliteLog(tmp_path / "log.db") as log:
        create_topics(log, 1)
        replay(log, 1, 16, rows())
        config = LearnerConfig(lane=LANE, batch_size=64, checkpoint_every_s=1e9, limits=LIMITS)
        one = Learner(log, TOPICS, config, tmp_path / "checkpoints", LearnerMetrics(registry))
        assert registry.get_sample_value("engram_synapses", {"model": "hebbian"}) is None
        finish(one)
        expected = synapse_gauges([one._streams[0].lane])
    found = registry.get_sample_value("engram_synapses", {"model": "hebbian"})
    assert found == expected["engram_synapses"][("hebbian",)]
    assert registry.get_sample_value("engram_synapses", {"model": "popularity"}) is None
