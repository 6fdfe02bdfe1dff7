"""What is drawn and written of a run's synapses: the most active neurons, their strongest synapses, step by step.

Neurons, communities, colours and places are those of the last step and stay the same in all; activity, synapses,
figures and modularity are of each step. A step's modularity is that of its own communities, found on what is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engram.graph_layout import layout
from engram.graph_names import Name
from engram.graph_source import Snapshot
from online_models.synapse_figures import SynapseFigures, synapse_figures
from online_models.synapse_graph import communities, modularity
from online_models.synapse_view import SynapseView, most_active

_LARGEST: Final = 0.042  # radius of the most active neuron; the picture is 2 wide
_SMALLEST: Final = 0.009


class Bounds(NamedTuple):
    """neurons: how many, the most active ones. top: synapses of each, the strongest. threshold: they weigh more."""

    neurons: int
    top: int
    threshold: float


class Step(NamedTuple):
    """One moment. figures: of all neurons. synapses: of the chosen neurons, bounded, numbered as they are chosen.

    communities, modularity: how many Louvain's method finds among `synapses`, and of what modularity.
    modularity_unbounded: of the same communities, over all active synapses between the chosen neurons.
    """

    events: int
    figures: SynapseFigures
    synapses: SynapseView
    communities: int
    modularity: float
    modularity_unbounded: float


@dataclass(frozen=True)
class Network:
    """The chosen neurons, in all steps. community: int32[n] of the last step. place: float64[n, 2], -1 to 1.

    neurons: "item" or "user". last_ms: int64[n], event time of each neuron's last event.
    """

    model: str
    neurons: str
    bounds: Bounds
    seed: int
    ids: tuple[str, ...]
    names: tuple[Name, ...]
    last_ms: NDArray[np.int64]
    community: NDArray[np.int32]
    place: NDArray[np.float64]
    steps: tuple[Step, ...]

    @property
    def last(self) -> Step:
        """The last step."""
        return self.steps[-1]

    @property
    def radius(self) -> NDArray[np.float64]:
        """Radius of each neuron's circle in the last step, float64[n]."""
        return radius(self.last.synapses.activity, float(self.last.synapses.activity.max(initial=0.0)))

    def described(self) -> list[dict[str, Any]]:
        """Describe each community, the largest first: number, size, inside (share of its weight), titles, genres."""
        return [_community(self, number) for number in range(int(self.community.max(initial=-1)) + 1)]


def radius(activity: NDArray[np.float64], greatest: float) -> NDArray[np.float64]:
    """Radius of circles whose area grows with the activity, float64[n]; 0 for a silent neuron."""
    share = np.sqrt(activity / greatest) if greatest > 0 else np.zeros(len(activity))
    return np.where(activity > 0, np.maximum(_SMALLEST, _LARGEST * share), 0.0)


def choose(snapshot: Snapshot, bounds: Bounds, also: int | None) -> NDArray[np.int32]:
    """Rows of the most active neurons, int32, ascending, and of the neuron `also`. Forgotten ones are left out."""
    activity = snapshot.view.activity.copy()
    activity[[not name for name in snapshot.ids]] = 0.0
    chosen = most_active(activity, bounds.neurons)
    return chosen if also is None else np.union1d(chosen, np.array([also], np.int32))


def step_of(
    snapshot: Snapshot, ids: Sequence[str], bounds: Bounds, seed: int
) -> tuple[Step, NDArray[np.int32]]:
    """Return the step of a snapshot for the neurons `ids`, and the community of each, int32[n].

    A neuron that is not there yet has no activity and no synapses.
    """
    row_of = {name: row for row, name in enumerate(snapshot.ids)}
    chosen = np.array([row_of.get(name, -1) for name in ids], np.int32)
    active = snapshot.view.above(bounds.threshold).among(chosen)
    synapses = active.strongest(bounds.top)
    community = communities(synapses, seed)
    connected = np.union1d(synapses.pre, synapses.post)
    step = Step(
        events=snapshot.events,
        figures=synapse_figures(snapshot.view, bounds.threshold),
        synapses=synapses,
        communities=len(np.unique(community[connected])),
        modularity=modularity(synapses, community),
        modularity_unbounded=modularity(active, community),
    )
    return step, community


def place_neurons(last: Step, community: NDArray[np.int32], seed: int) -> NDArray[np.float64]:
    """Return the place of each neuron, from the last step; float64[n, 2]."""
    activity = last.synapses.activity
    return layout(last.synapses, community, radius(activity, float(activity.max(initial=0.0))), seed)


def _community(network: Network, number: int) -> dict[str, Any]:
    inside = network.community == number
    members = np.flatnonzero(inside)
    synapses = network.last.synapses
    first = members[np.argsort(-synapses.activity[members], kind="stable")]
    from_it = inside[synapses.pre]
    weight = float(synapses.weight[from_it].sum())
    within = float(synapses.weight[from_it & inside[synapses.post]].sum())
    counts: dict[str, int] = {}
    for row in members.tolist():
        for genre in network.names[row].genres:
            counts[genre] = counts.get(genre, 0) + 1
    genres = sorted(counts, key=lambda genre: (-counts[genre], genre))[:3]
    return {
        "community": number,
        "size": len(members),
        "inside": within / weight if weight else 0.0,
        "titles": [network.names[row].title for row in first[:4].tolist()],
        "genres": genres,
    }
