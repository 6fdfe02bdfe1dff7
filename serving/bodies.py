"""Bodies of requests and answers, with examples: what the OpenAPI document is made of."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_EVENTS = 1_000
NO_CONTROLS = r"^[^\u0000-\u001f\u007f-\u009f]*$"  # as the log's decoder wants ids
Id = Annotated[str, Field(min_length=1, max_length=256, pattern=NO_CONTROLS, examples=["196"])]


class EventIn(BaseModel):
    """One event. Without a time it is now; without a key, one is made from the request's Idempotency-Key or at random."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"user": "196", "item": "242", "rating": 4.0, "key": "a1b2"}]},
    )
    user: Id
    item: Annotated[
        str,
        Field(
            max_length=256, pattern=NO_CONTROLS, examples=["242"], description="empty for forget_user only"
        ),
    ]
    kind: Literal["rating", "view", "click", "retract", "forget_user"] = "rating"
    rating: Annotated[float | None, Field(examples=[4.0], allow_inf_nan=False, strict=True)] = None
    event_time_ms: Annotated[
        int | None, Field(ge=0, le=2**53, strict=True, description="UTC, milliseconds since 1970")
    ] = None
    key: Annotated[
        str | None, Field(min_length=1, max_length=256, description="sent again, it counts once")
    ] = None


class EventsIn(BaseModel):
    """Several events; all are accepted, or none."""

    model_config = ConfigDict(extra="forbid")
    events: Annotated[list[EventIn], Field(min_length=1, max_length=MAX_EVENTS)]


class Accepted(BaseModel):
    """Events are durable in the log. position: give it as `after` to read what was learned from them."""

    accepted: Annotated[int, Field(examples=[1])]
    position: Annotated[str, Field(examples=["0-1041"])]


class ReasonOut(BaseModel):
    """A synapse that speaks for an item. weight: in fresh co-activations; share: of all that speak for it."""

    item: str
    title: str
    weight: float
    share: float
    rated_at_ms: int


class ItemOut(BaseModel):
    """An item. score: the model's own, larger is better; rank: its place by the model alone.

    popularity: how many users had it. text: the reasons in words, where they were asked for.
    """

    item: str
    title: str
    year: int | None = None
    genres: list[str] = []
    score: float | None = None
    rank: int | None = None
    popularity: int | None = None
    like_one_above: Annotated[
        float | None, Field(description="greatest similarity of genres and year to an item above, 0 to 1")
    ] = None
    because: list[ReasonOut] = []
    text: str | None = None


class AfterOut(BaseModel):
    """What became of the position that was waited for. dead_lettered: {reason: events}, empty when all were learned."""

    position: str
    dead_lettered: dict[str, int] = {}


class RecommendationsOut(BaseModel):
    """A list for a user. cold: why it is not personal yet, or null. learned_events: how much the state had learned."""

    user: str
    model: str
    cold: Annotated[str | None, Field(examples=[None, "new user"])] = None
    user_events: int
    learned_events: int
    after: AfterOut | None = None
    items: list[ItemOut]


class SimilarOut(BaseModel):
    """Items that fire together with one."""

    item: ItemOut
    similar: list[ItemOut]


class FoundOut(BaseModel):
    """Items whose titles begin with the words that were looked for."""

    items: list[ItemOut]


class HadOut(BaseModel):
    """An item that a user had."""

    item: str
    title: str
    rating: float | None
    event_time_ms: int


class SynapseOut(BaseModel):
    """A synapse between two items that a user had."""

    pre: str
    pre_title: str
    post: str
    post_title: str
    weight: float


class UserOut(BaseModel):
    """What the state knows of a user, newest first. taste: {genre: share}. mental_image: WiSARD's {bit: [like, dislike]}."""

    user: str
    known: bool
    events: int
    learned_events: int
    history: list[HadOut]
    taste: dict[str, float]
    mental_image: dict[str, tuple[float, float]]
    strongest_synapses: list[SynapseOut]


class HealthOut(BaseModel):
    """Whether a process works."""

    status: str
    silent_seconds: float | None = None


class ProblemOut(BaseModel):
    """What went wrong (RFC 9457). errors: of single fields or events, where there are several."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    instance: str | None = None
    errors: list[str] = []
