"""Bodies of answers about the whole: the catalogue, the race of models, the synapses, a replay."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from serving.bodies import ItemOut


class CatalogueOut(BaseModel):
    """What there is to recommend. genres: {name: items}; decades: {first year: items}; clock_ms: event time of the state."""

    items: int
    items_had: int
    users: int
    learned_events: int
    clock_ms: int
    genres: dict[str, int]
    decades: dict[str, int]


class ModelOut(BaseModel):
    """A model that is learned. floor: one of popularity or chance, which every other has to beat."""

    name: str
    ranks: bool
    rates: bool
    likes: bool
    floor: bool
    state_bytes: int


class ModelsOut(BaseModel):
    """All models that are learned, the default one named."""

    default: str | None
    models: list[ModelOut]


class PairOut(BaseModel):
    """How a model differs from a baseline in Recall@10: see docs/measures.md. low, high: a 95 % interval."""

    model: str
    baseline: str
    difference: float | None
    low: float | None
    high: float | None
    p_cluster: float | None
    sessions: int
    decided_at: int | None
    better: str | None


class SignificanceOut(BaseModel):
    """Differences of models. champion: the best model so far. alpha: of the test that holds for any number of looks."""

    alpha: float
    champion: str | None
    pairs: list[PairOut]


class PrequentialOut(BaseModel):
    """Prequential figures of now: {model: {span: {measure: value}}}, and the curve of Recall@10 over curve_span.

    beyond: {model: {measure: value}} of coverage, novelty and diversity. drifts, hand_overs: at which events.
    """

    events: int
    total_events: int | None = None
    figures: dict[str, dict[str, dict[str, float] | None]]
    curve_span: str | None = None
    curve_events: list[int] = []
    curve: dict[str, list[float | None]] = {}
    significance: SignificanceOut | None = None
    beyond: dict[str, dict[str, float]] = {}
    drifts: list[dict[str, str | int | float]] = []
    hand_overs: list[dict[str, str | int]] = []


class NeuronOut(BaseModel):
    """An item as a neuron. activity: its decayed count of events. centre: what was asked for."""

    item: str
    title: str
    genres: list[str]
    activity: float
    community: int
    popularity: int
    centre: bool


class SynapseToOut(BaseModel):
    """A synapse; weight in fresh co-activations."""

    pre: str
    post: str
    weight: float


class NetworkOut(BaseModel):
    """Neurons and their strongest synapses to each other, of a state that had learned so many events."""

    model: str
    learned_events: int
    communities: int
    modularity: float
    neurons: list[NeuronOut]
    synapses: list[SynapseToOut]


class LookOut(BaseModel):
    """The synapses at one moment. density: share of possible synapses that are active, estimated as synapses is."""

    learned_events: int
    event_time_ms: int
    synapses: int
    density: float


class GrowthOut(BaseModel):
    """How the synapses grew since the process began."""

    looks: list[LookOut]


class BondOut(BaseModel):
    """A synapse to another item. share: of all weight that leaves; back: the weight of the synapse the other way."""

    item: str
    title: str
    weight: float
    share: float
    back: float


class ItemProfileOut(BaseModel):
    """One neuron: how active it is, how many synapses leave it, and the strongest."""

    item: ItemOut
    model: str
    learned_events: int
    activity: float
    synapses: int
    bonds: list[BondOut]


class ReplayIn(BaseModel):
    """How a replay goes on. rate: events a second; null: as fast as they are learned."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"paused": False, "rate": 2000.0}]}
    )
    paused: Annotated[bool, Field(strict=True)] = False
    rate: Annotated[float | None, Field(gt=0, le=1e6, allow_inf_nan=False, strict=True)] = None


class ReplayOut(BaseModel):
    """A replay that runs beside, in events."""

    dataset: str
    written: int
    total: int
    paused: bool
    rate: float | None
    event_time_ms: int | None
    done: bool


def floats(values: dict[str, Any]) -> dict[str, float]:
    """Only what is a number."""
    return {name: float(value) for name, value in values.items() if isinstance(value, int | float)}
