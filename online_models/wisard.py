"""WiSARD: a weightless neural network for each user, over the community's (Aleksander, Thomas & Bowden 1984).

The retina (see `retina`) shows bits of item and user; a fixed random mapping takes them in tuples to RAM nodes. A user
has two discriminators, dislike and like: for each node and address how often it was met, u(node, class). The community
has the same nodes, c, and more, finer ones, g, whose address also holds the level of the expected rating (of
`rating_synapses`, which this model runs inside). With p0 the share of likes at that level:

    p_c(node) = (c(node, like) + crowd_shrinkage * p0) / (c(node) + crowd_shrinkage)
    p_u(node) = (u(node, like) + own_shrinkage * p_c(node)) / (u(node) + own_shrinkage)
    own = mean of p_u - p_c over nodes        crowd = mean of p_g - p0 over finer nodes, p_g like p_c
    P(like) = sigmoid(weights . (1, logit p0, 4 crowd, 4 own, expected - 2.5, 4 (like - 0.5)))

so a user with few events is taken for anybody. The six weights are learned online by AdaGrad (Duchi, Hazan & Singer
2011). The expected rating is that of `rating_synapses` plus the mean, over the finer nodes, of the errors that it made
there (as in regression WiSARD: Lusquino Filho et al. 2020).

A rating given anew is not predicted: its label is trained in place of the old one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_models.ids import grown
from online_models.interactions import Histories, Interactions, Moment, Predictions
from online_models.model import Axes, Model, ModelConfig, Situation
from online_models.parameter_ranges import check_range
from online_models.ram_nodes import DISLIKE, LIKE, Verdict, decide, image, tuples
from online_models.rating_synapses import RatingSynapses, RatingSynapsesConfig
from online_models.retina import BITS, LEVELS, Thermometers, no_thermometers
from online_models.wisard_kernels import (
    COARSE,
    EVIDENCE,
    Network,
    Rule,
    Sight,
    judge_all,
    judge_then_learn,
    look,
)

# Where the readout starts: about where it is after the first 30 % of MovieLens 100K.
_FIRST_WEIGHTS: Final = (0.0, 0.3, 0.1, 1.0, 0.8, 0.4)
_FIRST_SQUARES: Final = 30.0
_INSIDE: Final = "rating_"


@dataclass(frozen=True)
class WisardConfig(ModelConfig):
    """See the module for the formulas.

    nodes, width: of a user's discriminators, and bits in a tuple; finer_nodes, finer_width: of the community's own.
    crowd_limit: a community's cell that has met so many events halves its counts. readout_rate: of AdaGrad.
    trace_length, reverse_length, row_synapses: of the `rating_synapses` inside.
    """

    nodes: int = 32
    width: int = 6
    finer_nodes: int = 32
    finer_width: int = 2
    own_shrinkage: float = 16.0
    crowd_shrinkage: float = 4.0
    crowd_limit: int = 32_768
    readout_rate: float = 0.1
    trace_length: int = 256
    reverse_length: int = 128
    row_synapses: int = 1024

    def __post_init__(self) -> None:
        """Raise `ValueError` for a value that is out of its range."""
        check_range(self, "own_shrinkage", "crowd_shrinkage", "readout_rate", above=0)
        check_range(self, "nodes", "finer_nodes", "crowd_limit", "row_synapses", least=1)
        check_range(self, "width", "finer_width", least=1, most=12)
        check_range(self, "trace_length", "reverse_length", least=0)


class MentalImage(NamedTuple):
    """Of a user: how often each bit of the retina was on among likes and among dislikes.

    names: of the bits. dislike, like: float64[bits], 0 to 1. events: what the fullest node has met with each label;
    it fades.
    """

    names: tuple[str, ...]
    dislike: NDArray[np.float64]
    like: NDArray[np.float64]
    events: tuple[int, int]


class Wisard(Model):
    """Discriminators of each user over the community's; predicts likes and ratings, and shows a user's taste."""

    name: ClassVar[str] = "wisard"
    draws: ClassVar[bool] = True
    ranks: ClassVar[bool] = False
    rates: ClassVar[bool] = True
    likes: ClassVar[bool] = True
    axes: ClassVar[Axes] = {
        **{_INSIDE + name: axes for name, axes in RatingSynapses.axes.items()},
        "own": ("user", None, None),
    }
    config_type: ClassVar[type[ModelConfig]] = WisardConfig
    config: WisardConfig

    def __init__(self, config: ModelConfig | None = None, situation: Situation | None = None) -> None:
        super().__init__(config, situation)
        settings = self.config
        self._ratings = RatingSynapses(
            RatingSynapsesConfig(
                trace_length=settings.trace_length,
                reverse_length=settings.reverse_length,
                row_synapses=settings.row_synapses,
            ),
            self.situation,
        )
        least, most = self.situation.scale
        self._rule = Rule(
            own_shrinkage=float(settings.own_shrinkage),
            crowd_shrinkage=float(settings.crowd_shrinkage),
            crowd_limit=settings.crowd_limit,
            readout_rate=float(settings.readout_rate),
            least=float(least),
            unit=4.0 / (most - least),
        )
        seed = self.situation.seed
        self._mappings = (
            tuples(2 * seed, settings.nodes, settings.width, len(BITS)),
            tuples(2 * seed + 1, settings.finer_nodes, settings.finer_width, len(BITS)),
        )
        self._sight = Sight(
            np.zeros(len(BITS), np.int64),
            np.zeros(settings.nodes, np.int64),
            np.zeros(settings.finer_nodes, np.int64),
            np.zeros(EVIDENCE),
        )
        self._thermometers = no_thermometers()
        self._network = Network(
            own=np.zeros((0, settings.nodes, 1 << settings.width), np.uint8),
            crowd=np.zeros((settings.nodes, 1 << settings.width, 2), np.int32),
            finer=np.zeros((settings.finer_nodes, COARSE << settings.finer_width, 3)),
            level=np.zeros((LEVELS, 2), np.int32),
            readout=np.stack([np.array(_FIRST_WEIGHTS), np.full(EVIDENCE, _FIRST_SQUARES)]),
        )
        self._users = 0

    def test_then_learn(self, events: Interactions, histories: Histories, out: Predictions) -> None:
        """See `Model.test_then_learn`; likes are filled too."""
        if not len(events.user):
            return
        numbers = self._ratings.read(events, histories)
        self._users = max(self._users, int(events.user.max()) + 1)
        self._network = self._network._replace(own=grown(self._network.own, self._users))
        eyes = (self._thermometers, self._mappings)
        judge_then_learn(events, histories, numbers, self._network, eyes, self._rule, self._sight, out)

    def _all(self, user: int, histories: Histories, moment: Moment) -> NDArray[np.float64]:
        numbers = self._ratings.read_all(user, histories, moment)
        out = np.zeros((moment.items, 2))
        eyes = (self._thermometers, self._mappings)
        judge_all(histories, numbers, self._network, self._cells(user), eyes, self._rule, self._sight, out)
        return out

    def _cells(self, user: int) -> NDArray[np.uint8]:
        """Cells of a user, of one who has met nothing for an unknown one."""
        if 0 <= user < self._users:
            cells: NDArray[np.uint8] = self._network.own[user]
            return cells
        nothing: NDArray[np.uint8] = np.zeros(self._network.own.shape[1:], np.uint8)
        return nothing

    def scores(self, user: int, histories: Histories, moment: Moment) -> NDArray[np.float64]:
        """See `Model.scores`: the expected rating."""
        return self._ratings.in_scale(self._all(user, histories, moment)[:, 1])

    def like_probabilities(self, user: int, histories: Histories, moment: Moment) -> NDArray[np.float64]:
        """Probability that `user` (-1: unknown) likes each known item; float64[moment.items], 0 to 1. Pure."""
        return self._all(user, histories, moment)[:, 0]

    def verdict(self, user: int, item: int, histories: Histories, moment: Moment) -> Verdict:
        """Let the user's own discriminators alone decide on one known item. Pure. Raises `IndexError`."""
        if not 0 <= item < moment.items:
            raise IndexError(f"item is row {item}, expected 0 to {moment.items - 1}")
        numbers = self._ratings.read_all(user, histories, moment)[item]
        look(self._thermometers, self._mappings, numbers, histories, item, self._sight)
        return decide(self._cells(user), self._sight.own)

    def mental_image(self, user: int) -> MentalImage:
        """Show the taste of `user` (-1: unknown, and all zero) as its RAM nodes hold it (Grieco et al. 2010). Pure."""
        cells = self._cells(user)
        dislike, like = (image(cells, self._mappings[0], len(BITS), label) for label in (DISLIKE, LIKE))
        met = (cells & 15).sum(axis=1, dtype=np.int64), (cells >> 4).sum(axis=1, dtype=np.int64)
        return MentalImage(BITS, dislike, like, (int(met[0].max()), int(met[1].max())))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return those of `Network` and `Thermometers`, and those of `RatingSynapses` with the prefix rating_."""
        network = self._network._asdict()
        network["own"] = self._network.own[: self._users]
        inside = {_INSIDE + name: array for name, array in self._ratings.arrays().items()}
        return {
            **inside,
            **network,
            **{f"seen_{name}": a for name, a in self._thermometers._asdict().items()},
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """See `Model.restore`."""
        self._ratings.restore(
            {name.removeprefix(_INSIDE): array for name, array in arrays.items() if name.startswith(_INSIDE)}
        )
        self._network = Network(*(arrays[name].copy() for name in Network._fields))
        self._thermometers = Thermometers(*(arrays[f"seen_{name}"].copy() for name in Thermometers._fields))
        self._users = len(self._network.own)
