"""Views, figures, communities and modularity of synapses: small networks worked out by hand."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from online_models.hebbian import Hebbian, HebbianConfig
from online_models.model import Model, Situation
from online_models.popularity import Popularity
from online_models.synapse_figures import log_histogram, synapse_figures, weight_quantiles
from online_models.synapse_graph import communities, modularity, synapse_graph
from online_models.synapse_view import SynapseView, most_active
from online_models.user_hebbian import UserHebbian, UserHebbianConfig
from tests.online_models.event_streams import Driver, random_stream
from tests.oracles.history_oracle import Event

STREAM = random_stream(5, 260, users=14, items=30)


def view_of(neurons: int, synapses: dict[tuple[int, int], float]) -> SynapseView:
    """A view of all rows; every neuron has activity 1."""
    pairs = sorted(synapses)
    return SynapseView(
        "item",
        np.arange(neurons, dtype=np.int32),
        np.array([pre for pre, _ in pairs], np.int32),
        np.array([post for _, post in pairs], np.int32),
        np.array([synapses[pair] for pair in pairs]),
        np.ones(neurons),
    )


def listed(view: SynapseView) -> dict[tuple[int, int], float]:
    return {
        (pre, post): weight
        for pre, post, weight in zip(view.pre.tolist(), view.post.tolist(), view.weight.tolist(), strict=True)
    }


def both_ways(*pairs: tuple[int, int]) -> dict[tuple[int, int], float]:
    return {pair: 1.0 for a, b in pairs for pair in ((a, b), (b, a))}


def test_figures_by_hand() -> None:
    # 0 <-> 1 with 4 and 2, 1 -> 2 with 1, 2 -> 0 with 0.05, which is not active.
    figures = synapse_figures(view_of(4, {(0, 1): 4.0, (1, 0): 2.0, (1, 2): 1.0, (2, 0): 0.05}))
    assert (figures.neurons, figures.synapses) == (4, 3)
    assert figures.density == 3 / 12
    assert figures.reciprocity == pytest.approx(2 / 3)
    # |4 - 2| + |1 - 0|, of 4 + 2 + 1
    assert figures.asymmetry == pytest.approx(3 / 7)
    assert figures.mean_weight == pytest.approx(7 / 3)
    assert figures.largest_weight == 4.0
    assert figures.quantiles == pytest.approx({0.5: 2.0, 0.9: 3.6, 0.99: 3.96})
    assert figures.out_degree.tolist() == [1, 2, 0, 0]
    assert figures.in_degree.tolist() == [1, 1, 1, 0]
    assert int(figures.weights.counts.sum()) == 3


def test_figures_of_nothing() -> None:
    for neurons in (0, 1, 3):
        figures = synapse_figures(view_of(neurons, {}))
        assert (figures.neurons, figures.synapses, figures.density) == (neurons, 0, 0.0)
        assert (figures.reciprocity, figures.asymmetry, figures.quantiles) == (0.0, 0.0, {})
        assert modularity(view_of(neurons, {}), np.zeros(neurons, np.int32)) == 0.0
        assert communities(view_of(neurons, {}), 0).tolist() == list(range(neurons))


def test_a_logarithmic_histogram_has_a_quarter_of_a_decade_a_bin() -> None:
    counted = log_histogram(np.array([1.0, 1.5, 2.0, 10.0, 0.0]))
    # 1 | 1.78 | 3.16 | 5.62 | 10 | 17.8: the zero is left out
    assert counted.edges == pytest.approx([10 ** (k / 4) for k in range(6)])
    assert counted.counts.tolist() == [2, 1, 0, 0, 1]
    assert weight_quantiles(np.zeros(0)) == {}


def test_modularity_and_communities_of_two_triangles() -> None:
    """Two triangles with one synapse both ways between them: 14 of weight, 12 of it within; out = in = 7 each."""
    triangles = view_of(6, both_ways((0, 1), (1, 2), (0, 2), (3, 4), (4, 5), (3, 5), (2, 3)))
    community = communities(triangles, seed=7)
    assert community.tolist() == [0, 0, 0, 1, 1, 1]
    assert modularity(triangles, community) == pytest.approx(12 / 14 - 2 * 49 / 196)
    assert modularity(triangles, np.zeros(6, np.int32)) == pytest.approx(0.0)


def test_directed_modularity_by_hand() -> None:
    """Weights 3 (0 to 1), 1 (1 to 2), 2 (2 to 3); {0, 1}: out 4, in 3; {2, 3}: out 2, in 3."""
    view = view_of(4, {(0, 1): 3.0, (1, 2): 1.0, (2, 3): 2.0})
    divided = np.array([0, 0, 1, 1], np.int32)
    assert modularity(view, divided) == pytest.approx(5 / 6 - (4 * 3 + 2 * 3) / 36)
    networkx = pytest.importorskip("networkx")
    graph = synapse_graph(view, range(4), [{}] * 4)
    assert modularity(view, divided) == pytest.approx(networkx.community.modularity(graph, [{0, 1}, {2, 3}]))


def test_the_largest_community_is_the_first() -> None:
    square = [(a, b) for a in range(2, 6) for b in range(a + 1, 6)]
    assert communities(view_of(6, both_ways((0, 1), *square)), seed=1).tolist() == [1, 1, 0, 0, 0, 0]


def test_the_graph_has_ids_attributes_and_weights() -> None:
    view = view_of(2, {(0, 1): 2.5})._replace(activity=np.array([3.0, 1.5]))
    graph = synapse_graph(view, ["a", "b"], [{"title": "A"}, {"title": "B"}])
    assert dict(graph.nodes(data=True)) == {
        "a": {"title": "A", "activity": 3.0},
        "b": {"title": "B", "activity": 1.5},
    }
    assert list(graph.edges(data=True)) == [("a", "b", {"weight": 2.5})]


def test_strongest_most_active_and_among() -> None:
    view = view_of(4, {(0, 1): 1.0, (0, 2): 3.0, (0, 3): 1.0, (2, 0): 5.0, (3, 2): 4.0})
    assert listed(view.strongest(2)) == {(0, 1): 1.0, (0, 2): 3.0, (2, 0): 5.0, (3, 2): 4.0}
    assert most_active(np.array([0.0, 2.0, 5.0, 2.0]), 2).tolist() == [1, 2]
    assert most_active(np.array([0.0, 2.0]), 9).tolist() == [1]
    # Neuron 2 becomes 0, 0 becomes 2, and 1 is nobody.
    part = view.among(np.array([2, -1, 0], np.int32))
    assert listed(part) == {(0, 2): 5.0, (2, 0): 3.0}
    assert part.activity.tolist() == [1.0, 0.0, 1.0]
    assert part.pre.tolist() == sorted(part.pre.tolist())


@pytest.mark.parametrize("clock", ["event_count", "event_time"])
def test_both_layouts_give_the_same_view(clock: str) -> None:
    """Rows of the bounded layout have room for all, so nothing is evicted."""
    views = []
    for direct in (64, 0, 10):  # direct, bounded, and a change from one to the other on the way
        config = HebbianConfig(direct_neurons=direct, row_synapses=64, half_life_events=50, half_life_s=3600)
        driver = Driver(Hebbian(config, Situation(clock=clock)), clock)  # type: ignore[arg-type]
        driver.feed(STREAM)
        views.append(driver.model.synapse_view(driver.moment().now))
    first, *others = views
    assert first is not None
    assert len(first.weight) > 100
    for other in others:
        assert other is not None
        for have, want in zip(other, first, strict=True):
            np.testing.assert_array_equal(have, want)


def test_weights_and_activity_are_decayed_to_the_moment() -> None:
    """User 0 has items 0 and 1 at once; the half-life is 2 events, and two more events pass."""
    config = HebbianConfig(reverse=0.5, half_life_events=2.0, step_decay=1.0)
    driver = Driver(Hebbian(config), "event_count")
    driver.feed([Event(0, 0, 0), Event(0, 1, 0)])
    view = driver.model.synapse_view(2)
    assert view is not None
    left = 2**-0.5  # from tick 1, when they met, to tick 2
    assert listed(view) == pytest.approx({(0, 1): left, (1, 0): left / 2})
    assert view.activity == pytest.approx([0.5, left])
    later = driver.model.synapse_view(4)
    assert later is not None
    assert listed(later) == pytest.approx({(0, 1): left / 2, (1, 0): left / 4})


def test_users_synapses_fade_with_their_own_events_too() -> None:
    """Users 0 and 1 meet at item 0 (tick 1); user 1 then has two items of its own, in one half-life of both kinds."""
    config = UserHebbianConfig(own_half_life_events=2.0, half_life_events=4.0)
    driver = Driver(UserHebbian(config), "event_count")
    driver.feed([Event(0, 0, 0), Event(1, 0, 1), Event(1, 1, 2), Event(1, 2, 3)])
    view = driver.model.synapse_view(5)
    assert view is not None
    assert view.neurons == "user"
    # 4 ticks since: one half-life. Own events since: the meeting itself and two more, 3 of 2.
    assert listed(view) == pytest.approx({(1, 0): 0.5 * 2**-1.5})
    assert view.activity.tolist() == [1.0, 3.0]


@pytest.mark.parametrize(
    "model",
    [
        Hebbian(HebbianConfig(direct_neurons=64)),
        Hebbian(HebbianConfig(direct_neurons=0, row_synapses=6)),
        UserHebbian(UserHebbianConfig(row_synapses=5)),
    ],
    ids=["direct", "bounded", "users"],
)
def test_a_view_of_some_rows_is_a_part_of_the_whole(model: Model) -> None:
    driver = Driver(model, "event_count")
    driver.feed(STREAM)
    before = model.digest()
    whole = model.synapse_view(300)
    rows = np.array([1, 4, 9], np.int32)
    part = model.synapse_view(300, rows)
    assert whole is not None
    assert part is not None
    assert listed(part) == {pair: w for pair, w in listed(whole).items() if pair[0] in {1, 4, 9}}
    assert part.possible == 3 * (len(whole.activity) - 1)
    assert math.isfinite(whole.weight.sum())
    assert model.digest() == before


def test_a_model_without_synapses_has_no_view() -> None:
    assert Popularity().synapse_view(0) is None


def test_a_stream_imports_no_networkx() -> None:
    code = (
        "import sys, consumers.learner, engram.cli, online_models.registry\n"
        "assert 'networkx' not in sys.modules, 'networkx is imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
