"""One neuron's synaptic profile: its strongest synapses, out and in, and how those out of it grew."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engram.graph_names import Name
from engram.graph_source import Snapshot

COLUMNS: Final = (
    "direction",
    "id",
    "title",
    "weight",
    "share",
    "reverse_weight",
    "activity",
    "last_activity",
)


class Bond(NamedTuple):
    """A synapse of the profiled neuron to or from `id`. share: of the neuron's weight in this direction.

    reverse_weight: of the synapse the other way. activity, last_ms: of the other neuron.
    """

    direction: Literal["out", "in"]
    id: str
    weight: float
    share: float
    reverse_weight: float
    activity: float
    last_ms: int


class Profile(NamedTuple):
    """A neuron, and its strongest bonds of both directions, each the strongest first. out, into: how many are active."""

    id: str
    activity: float
    last_ms: int
    out: int
    into: int
    bonds: tuple[Bond, ...]


def profile(snapshot: Snapshot, row: int, threshold: float, top: int) -> Profile:
    """Profile the neuron of `row`: at most `top` synapses of each direction that weigh more than `threshold`."""
    view = snapshot.view.above(threshold)
    of_out, of_in = view.pre == row, view.post == row
    out = dict(zip(view.post[of_out].tolist(), view.weight[of_out].tolist(), strict=True))
    into = dict(zip(view.pre[of_in].tolist(), view.weight[of_in].tolist(), strict=True))
    bonds = [*_bonds(snapshot, "out", out, into, top), *_bonds(snapshot, "in", into, out, top)]
    return Profile(
        snapshot.ids[row],
        float(view.activity[row]),
        int(snapshot.last_ms[row]),
        len(out),
        len(into),
        tuple(bonds),
    )


def _bonds(
    snapshot: Snapshot,
    direction: Literal["out", "in"],
    weights: Mapping[int, float],
    back: Mapping[int, float],
    top: int,
) -> list[Bond]:
    total = sum(weights.values())
    strongest = sorted(weights, key=lambda other: (-weights[other], other))[:top]
    return [
        Bond(
            direction,
            snapshot.ids[other],
            weights[other],
            weights[other] / total,
            back.get(other, 0.0),
            float(snapshot.view.activity[other]),
            int(snapshot.last_ms[other]),
        )
        for other in strongest
    ]


def weights_to(snapshot: Snapshot, neuron: str, others: tuple[str, ...]) -> NDArray[np.float64]:
    """Weights from `neuron` to `others`, float64[n]; 0 for what is not there (yet)."""
    if neuron not in snapshot.ids:
        return np.zeros(len(others))
    view = snapshot.view
    of = view.pre == snapshot.ids.index(neuron)
    weights = {
        snapshot.ids[p]: w for p, w in zip(view.post[of].tolist(), view.weight[of].tolist(), strict=True)
    }
    return np.array([weights.get(other, 0.0) for other in others])


def write_profile(path: Path, of: Profile, names: Mapping[str, Name]) -> None:
    """Write the bonds as CSV with `COLUMNS`; last_activity is a UTC date and time."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for bond in of.bonds:
            values = (bond.weight, bond.share, bond.reverse_weight, bond.activity)
            title = names[bond.id].title
            writer.writerow(
                (bond.direction, bond.id, title, *(f"{v:.6g}" for v in values), when(bond.last_ms))
            )


def when(time_ms: int) -> str:
    """An event time as 1998-03-07T14:00:00Z, "" for a neuron without an event."""
    if time_ms < 0:
        return ""
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
