"""What every online model can do. A new model is a subclass in its own file, and one line in `registry.py`.

`test_then_learn` is the only way in which state changes; `recommend`, `predict_one` and `scores` are pure and
use the same scoring kernel as the test.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_models.drift import Drift
from online_models.interactions import Histories, Interactions, Moment, Predictions
from online_models.item_shares import ItemShares
from online_models.synapse_view import SynapseView
from online_models.top_k import top_k

Array = NDArray[Any]
ClockName = Literal["event_count", "event_time"]
Axes = dict[str, tuple[Literal["user", "item"] | None, ...]]


@dataclass(frozen=True)
class ModelConfig:
    """Parameters of a model; each model has its own subclass with defaults, the same for every stream."""


@dataclass(frozen=True)
class DecayConfig(ModelConfig):
    """How fast a model forgets: half_life_events on the clock `event_count`, half_life_s on `event_time`."""

    half_life_events: float = 10_000.0
    half_life_s: float = 30 * 86_400.0

    def __post_init__(self) -> None:
        """Raise `ValueError` for a half-life that is not positive."""
        for name in ("half_life_events", "half_life_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)!r}, expected more than 0")

    def half_life_ticks(self, clock: ClockName) -> float:
        """Half-life in the clock's ticks: events, or milliseconds of event time."""
        return self.half_life_events if clock == "event_count" else self.half_life_s * 1000.0


@dataclass(frozen=True)
class Situation:
    """What a lane gives to all of its models.

    clock: what decay runs on. ties_against: equal scores count against the target (rank = 1 + number of others
    with score >= its own). scale: least and greatest rating. seed: of models that draw at random.
    """

    clock: ClockName = "event_count"
    ties_against: bool = True
    scale: tuple[float, float] = (1.0, 5.0)
    seed: int = 0


class Recommendation(NamedTuple):
    """items: int32[k] rows, best first; scores: float64[k], larger is better."""

    items: NDArray[np.int32]
    scores: NDArray[np.float64]


class Model(ABC):
    """An online model over dense rows of users and items.

    ranks, rates, likes: whether it ranks the catalogue, predicts ratings, and tells the probability of a like.
    ranks_cold: whether it can rank items that nobody has had yet.
    reads_ratings: whether it may read `Histories.ratings`, which costs others a cut at each rating that is given anew.
    axes: for each array of `arrays()`, which of its axes are rows of users or of items, as in
    {"vectors": ("user", None), "count": ("item",)}; an array that is not named has none.
    shares_items: whether lanes can teach each other what they learn of items; see `share`.
    draws: whether what it says depends on the seed of its situation.
    """

    name: ClassVar[str]
    ranks: ClassVar[bool] = True
    rates: ClassVar[bool] = False
    likes: ClassVar[bool] = False
    ranks_cold: ClassVar[bool] = False
    reads_ratings: ClassVar[bool] = True
    axes: ClassVar[Axes] = {}
    shares_items: ClassVar[bool] = False
    draws: ClassVar[bool] = False
    config_type: ClassVar[type[ModelConfig]]

    def __init__(self, config: ModelConfig | None = None, situation: Situation | None = None) -> None:
        self.config = config if config is not None else self.config_type()
        self.situation = situation or Situation()

    @abstractmethod
    def test_then_learn(self, events: Interactions, histories: Histories, out: Predictions) -> None:
        """For each event in order: predict it with the state of all earlier events, then learn it.

        out: filled. A rank is 1 for the best, `NOT_RANKED` for a repeat, `MISS` for a new item; the candidates are
        all items known before the event less those that the user has had. A rating is predicted for everything but
        repeats. The result does not depend on how a stream is cut into blocks.
        """

    @abstractmethod
    def scores(self, user: int, histories: Histories, moment: Moment) -> NDArray[np.float64]:
        """Score every known item for `user` (-1: unknown); float64[moment.items], larger is better. Pure."""

    @abstractmethod
    def arrays(self) -> dict[str, Array]:
        """Named arrays of the state in use (no spare capacity), for checkpoints and the digest."""

    @abstractmethod
    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Become what `arrays` describes."""

    def keep(self, users: NDArray[np.int32], items: NDArray[np.int32], histories: Histories) -> None:
        """Drop rows: users[i] becomes row i of users, items[i] row i of items (int32, ascending).

        histories: as they are with the rows that stay. A model whose arrays hold rows, and not only have them as
        axes, has its own way.
        """
        rows = {"user": users, "item": items}
        arrays = dict(self.arrays())
        for name, axes in self.axes.items():
            for axis, side in enumerate(axes):
                if side is not None:
                    kept = rows[side][rows[side] < arrays[name].shape[axis]]
                    arrays[name] = arrays[name].take(kept, axis)
        self.restore(arrays)

    def forget_user(self, user: int) -> None:
        """Forget what is kept of one user; the row stays, and is never a user's again.

        What all users have taught together, such as an item's count, stays. A model that refers to users from
        elsewhere than their own rows adds to this.
        """
        arrays = self.arrays()
        for name, axes in self.axes.items():
            for axis, side in enumerate(axes):
                if side == "user" and user < arrays[name].shape[axis]:
                    # The arrays in use, not copies of them.
                    np.moveaxis(arrays[name], axis, 0)[user] = 0

    def retract(self, user: int, item: int) -> None:  # noqa: B027 (most models have nothing to do)
        """Take back that `user` has had `item`, as far as the model keeps it apart from what others taught.

        The pair is out of the histories already, so whatever is read from there is as if it had not been. Learned
        sums and weights cannot be told apart from others' any more, and fade.
        """

    def synapse_view(self, now: int, rows: NDArray[np.int32] | None = None) -> SynapseView | None:
        """Return the model's synapses as they count at tick `now`; None for a model without any. Pure.

        rows: int32, ascending, the pre neurons to look at; all by default.
        """
        return None

    def adapt(self, drift: Drift) -> None:  # noqa: B027 (most models have nothing to do)
        """Take note that this model has drifted; called between two events, at a block's end.

        What changes here is state: it must be in `arrays()`, and hold for what is still to come. A model that overrides
        this is watched wherever it runs, and hears of its own drifts alone: so what it learns does not depend on which
        other models run beside it.
        """

    def share(self) -> None:
        """From the first event on, keep apart what this lane contributes to items, and take in what others do.

        Raises `NotImplementedError` unless the model `shares_items`; one that does implements the three below too.
        """
        raise NotImplementedError(f"{self.name} does not share what it learns of items")

    @property
    def shares(self) -> ItemShares | None:
        """Own contribution and those of others; None where nothing is shared."""
        return None

    def clock_ahead(self, now: int) -> int:
        """By how many ticks the clock of memory is ahead of the lane's at `now`."""
        return 0

    def adopt_items(self, items: int, rows: NDArray[np.int32]) -> None:  # noqa: B027 (for models that share)
        """Know `items` items, and make those of `rows` (int32[n], ascending) anew from what `shares` holds of them."""

    def predict_one(self, user: int, item: int, histories: Histories, moment: Moment) -> float:
        """Score one known item for `user`. Pure. Raises `IndexError` for an unknown item."""
        if not 0 <= item < moment.items:
            raise IndexError(f"item is row {item}, expected 0 to {moment.items - 1}")
        return float(self.scores(user, histories, moment)[item])

    def recommend(self, user: int, k: int, histories: Histories, moment: Moment) -> Recommendation:
        """Return the k best items that `user` has not had; fewer when there are no more. Pure.

        Equal scores are in order of the item's row, the older item first.
        """
        start = histories.start[user] if user >= 0 else 0
        had = histories.items[start : start + (histories.length[user] if user >= 0 else 0)]
        return Recommendation(*top_k(self.scores(user, histories, moment), had, k))

    def digest(self) -> str:
        """sha256 of configuration and state: equal for equal streams, whatever the capacities."""
        total = hashlib.sha256(json.dumps(asdict(self.config), sort_keys=True).encode())
        for name, array in sorted(self.arrays().items()):
            total.update(f"{name}:{array.dtype.str}:{array.shape}".encode())
            total.update(np.ascontiguousarray(array).data)
        return total.hexdigest()

    @property
    def state_bytes(self) -> int:
        """Bytes of the state in use."""
        return sum(array.nbytes for array in self.arrays().values())
