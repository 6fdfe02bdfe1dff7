"""The hybrid: what a user did lately, what items are, how popular they are, and what follows what, in one score.

    score(u, c) = w_collaborative x_u . p_c  +  w_content x_u . q_c  +  w_popularity b_c  +  w_lift sum_k g_k lift(y_k, c)

x_u is the encoder's output after the user's last event: causal self-attention over the last `length` events (Kang &
McAuley 2018, "Self-attentive sequential recommendation", ICDM), with learned biases by distance in events in place of
positions, so that a window may begin anywhere, and with the class of the time gap before each event. p_c is the item's
collaborative vector, which may start from that of iALS, and is 0 for an item without events; q_c is made of its genres and
year; b_c starts as the logarithm of popularity.

The last term is wide where the others are deep (Cheng et al. 2016, "Wide & deep learning for recommender systems", DLRS):
tables of lift between items (see `lift`), remembered as they are, with a learned gain of each step k and a learned fading
by each gap since. Training asks tables that have not counted the user who is asked about.

The weights w are of how many events the user has had. They start from the rule of a hybrid that was published with
content/collaborative/popularity at .7/.2/.1 under five ratings, .5/.35/.15 under ten and .3/.6/.1 beyond (as ratios to the
last of these), and are learned.

Without the last term, items and users meet in dot products only; with it, a row of a table is added for each event.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812, the field's name for it
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from batch_models.objectives import ALL
from batch_models.pair_model import dense, embedding
from batch_models.sequences import GAP_ENDS_S, GAPS, PADDING, Windows

_FORGETS: Final = 0.1  # logits of attention that a step of distance costs at the start
AGES: Final = 9  # of a user: 0, 1, 2 to 3, 4 to 7, ... 128 and more events
_COLLABORATIVE, _CONTENT, _POPULARITY, _LIFT = range(4)
# A first guess at the lift's gains, of `online_models.blend`.
_LIFT_WEIGHT, _STEP_DECAY, _GAP_SCALE_S, _GAP_EXPONENT = 0.3, 0.8, 60.0, 0.8


@dataclass(frozen=True)
class HybridConfig:
    """factors: width of everything, a multiple of heads. length: events that are looked back on. dropout: in [0, 1).

    checkpoint: blocks are worked out once more for the gradient in place of being kept, for less memory and a third more time.
    """

    factors: int = 64
    length: int = 50
    blocks: int = 1
    heads: int = 2
    dropout: float = 0.2
    checkpoint: bool = False


class Trail(NamedTuple):
    """What is known of users at the places of windows: the parts of `Windows`, and which table of lift is asked.

    item, gap, seen: int64[w, L]; table: int64[w], -1 for the last, which has counted everyone.
    """

    item: Tensor
    gap: Tensor
    seen: Tensor
    table: Tensor

    def of(self, rows: Tensor) -> Trail:
        """The windows at `rows`, int64[b]."""
        return Trail(*(part[rows] for part in self))


def first_shares() -> Tensor:
    """Weights of the parts by age class that learning starts from: float32[AGES, 4]."""
    published = {4: (0.2, 0.7, 0.1), 8: (0.35, 0.5, 0.15), math.inf: (0.6, 0.3, 0.1)}
    regular = published[math.inf]
    rows = []
    for age in range(AGES):
        youngest = 2**age // 2  # events that a user of this class has had, at least
        rule = next(of for under, of in published.items() if youngest < under)
        rows.append([*(part / last for part, last in zip(rule, regular, strict=True)), 1.0])
    return torch.tensor(rows)


class Block(nn.Module):
    """Causal self-attention with biases by distance, then a feed-forward layer; both residual, after normalisation."""

    def __init__(self, config: HybridConfig, random: torch.Generator) -> None:
        super().__init__()
        width = config.factors
        self.heads, self.dropout = config.heads, config.dropout
        self.before_attention, self.before_feed = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project = dense(width, 3 * width, random)
        self.join = dense(width, width, random)
        self.feed, self.out = dense(width, width, random), dense(width, width, random)
        slope = torch.arange(config.length, dtype=torch.float32) * _FORGETS  # [L]
        self.distance = nn.Parameter(-slope.repeat(config.heads, 1))  # [heads, L]

    def forward(self, hidden: Tensor, there: Tensor) -> Tensor:
        """Hidden: float[w, L, d]; there: bool[w, L], False for padding; float[w, L, d]."""
        w, length, width = hidden.shape
        query, key, value = (
            self.project(self.before_attention(hidden))  # [w, L, 3 d]
            .view(w, length, 3, self.heads, width // self.heads)
            .permute(2, 0, 3, 1, 4)  # [3, w, heads, L, d / heads]
        )
        attended = F.scaled_dot_product_attention(
            query, key, value, self._bias(there, length)
        )  # [w, heads, L, d / heads]
        joined = self.join(attended.transpose(1, 2).reshape(w, length, width))  # [w, L, d]
        hidden = hidden + F.dropout(joined, self.dropout, self.training)  # [w, L, d]
        fed = self.out(torch.relu(self.feed(self.before_feed(hidden))))  # [w, L, d]
        return hidden + fed  # [w, L, d]

    def _bias(self, there: Tensor, length: int) -> Tensor:
        """What is added to the logits of attention: float[w, heads, L, L]; padding sees itself alone."""
        place = torch.arange(length, device=there.device)  # [L]
        back = place[:, None] - place  # [L, L], from the query back to the key
        bias = self.distance[:, back.clamp(min=0)]  # [heads, L, L]
        seen = (back >= 0) & (there[:, None, :] | (back == 0))  # [w, L, L]
        return torch.where(seen[:, None], bias, -1e9)  # [w, heads, L, L]


class Hybrid(nn.Module):
    """The hybrid of `items`. content: float32[items, f], features of items, f may be 0; popularity: float32[items], counts.

    start: float32[items, factors], collaborative vectors to start from, or None for random ones. lift: float32[tables,
    items, items], or None to do without; it is not learned, nor among `state_dict`.
    """

    def __init__(
        self,
        config: HybridConfig,
        content: NDArray[np.float32],
        popularity: NDArray[np.float32],
        seed: int,
        start: Tensor | None = None,
        lift: NDArray[np.float32] | None = None,
    ) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(seed)
        width = config.factors
        self.items, self.config = len(content), config
        std = width**-0.5
        self.item = embedding(self.items, width, random, std)  # [items, d]
        with torch.no_grad():
            if start is not None:
                self.item.copy_(start * (std / start.std()))
            self.item[torch.from_numpy(popularity == 0)] = 0.0
        self.register_buffer("content", torch.from_numpy(content))  # [items, f]
        self.of_content = nn.Parameter(torch.zeros(content.shape[1], width))  # [f, d]
        share = np.log((popularity + 1.0) / (popularity + 1.0).mean())
        self.bias = nn.Parameter(torch.from_numpy(share.astype(np.float32)))  # [items]
        self.gap = embedding(GAPS, width, random, 0.1 * std)  # [gaps, d]
        self.blocks = nn.ModuleList(Block(config, random) for _ in range(config.blocks))
        self.last = nn.LayerNorm(width)
        self.share = nn.Parameter(first_shares())  # [AGES, 4]
        steps = torch.arange(config.length) * math.log(_STEP_DECAY) + math.log(_LIFT_WEIGHT)  # [L]
        self.step = nn.Parameter(steps)  # [L], logarithms
        typical = torch.tensor([0.5, *GAP_ENDS_S])  # [gaps]
        fades = _GAP_EXPONENT * torch.log1p(typical / _GAP_SCALE_S)
        self.fading = nn.Parameter(torch.log(torch.expm1(fades)))  # [gaps], softplus of it is lost at a gap
        tables = None if lift is None else torch.from_numpy(lift).view(-1, self.items)
        self.register_buffer("lift", tables, persistent=False)  # [tables * items, items]

    def vectors(self) -> Tensor:
        """Collaborative and content vectors: float[items, 2, d]."""
        return torch.stack((self.item, self.content @ self.of_content), 1)

    def encode(self, item: Tensor, gap: Tensor, vectors: Tensor) -> Tensor:
        """Users after each event of windows. item, gap: int64[w, L]; vectors: float[items, d]; float[w, L, d]."""
        there = item != PADDING  # [w, L]
        known = F.embedding(item.clamp(min=0), vectors)  # [w, L, d]
        scale = self.config.factors**0.5
        hidden = (known * scale + self.gap[gap] * scale) * there[:, :, None]  # [w, L, d]
        hidden = F.dropout(hidden, self.config.dropout, self.training)  # [w, L, d]
        for block in self.blocks:
            if self.config.checkpoint and self.training:
                hidden = checkpoint(block, hidden, there, use_reentrant=False)  # [w, L, d]
            else:
                hidden = block(hidden, there)  # [w, L, d]
        return self.last(hidden)  # [w, L, d]

    def gains(self, item: Tensor, gap: Tensor) -> Tensor:
        """What is left of each event at each place. item, gap: int64[w, L]; float[w, L, L], from place to event."""
        place = torch.arange(item.shape[1], device=item.device)  # [L]
        back = place[:, None] - place  # [L, L]
        lost = F.softplus(self.fading)[gap].cumsum(1)  # [w, L]
        left = self.step[back.clamp(min=0)] - (lost[:, :, None] - lost[:, None, :])  # [w, L, L]
        seen = (back >= 0) & (item != PADDING)[:, None, :]  # [w, L, L]
        return torch.where(seen, left, -torch.inf).exp()  # [w, L, L]

    def shares(self, seen: Tensor) -> Tensor:
        """Weights of the parts for users who have had so many events. seen: int64[...]; float[..., 4]."""
        age = torch.log2(seen.clamp(min=0) + 0.5).floor().long() + 1  # 0 -> 0, 1 -> 1, 2 and 3 -> 2
        return self.share[age.clamp(max=AGES - 1)]

    def rows(self, trail: Trail) -> Tensor:
        """Rows of `lift` of a trail's items: int64[w, L]."""
        assert self.lift is not None
        table = trail.table % (len(self.lift) // self.items)
        return table[:, None] * self.items + trail.item.clamp(min=0)


class Query(NamedTuple):
    """p users, ready to be scored: vector: float[p, 2 d]; popularity, lift: float[p], weights of these parts."""

    vector: Tensor
    popularity: Tensor
    lift: Tensor

    @classmethod
    def made(cls, user: Tensor, shares: Tensor) -> Query:
        """Of the encoder's output, float[p, d], and weights of parts, float[p, 4]."""
        parts = user[:, None, :] * shares[:, : _CONTENT + 1, None]  # [p, 2, d]
        return cls(parts.flatten(1), shares[:, _POPULARITY], shares[:, _LIFT])


class NextItem:
    """The next item of each place in windows by sampled softmax; rows are windows.

    All places of a batch share their negatives, drawn uniformly; with `negatives` 0 all items are. folds: how many
    tables of lift leave users out, see `lift_tables`. weight: float32[w, L], of the places; all alike by default.
    """

    def __init__(
        self,
        windows: Windows,
        negatives: int,
        device: torch.device,
        folds: int = 1,
        weight: NDArray[np.float32] | None = None,
    ) -> None:
        self._trail = trail_of(windows, windows.user % folds, device)
        self._target = torch.from_numpy(windows.target).to(device)  # [w, L]
        weight = np.ones(windows.target.shape, np.float32) if weight is None else weight
        self._weight = torch.from_numpy(weight).to(device)  # [w, L]
        self._negatives = negatives
        self._places = int((windows.target != PADDING).sum()) / max(1, len(windows.item))

    @property
    def rows(self) -> int:
        """Number of windows."""
        return len(self._target)

    @property
    def samples_per_row(self) -> float:
        """Places with a target, on average."""
        return self._places

    def loss(self, model: nn.Module, rows: Tensor, generator: torch.Generator, share: slice = ALL) -> Tensor:
        """See `Objective.loss`; the mean over places."""
        assert isinstance(model, Hybrid)
        places = (self._target[rows] != PADDING).sum()  # []
        rows = rows[share]
        trail, target = self._trail.of(rows), self._target[rows]  # [w, L] each
        asked = target != PADDING  # [w, L]
        vectors = model.vectors()  # [items, 2, d]
        user = model.encode(trail.item, trail.gap, vectors.sum(1))[asked]  # [p, d]
        query = Query.made(user, model.shares(trail.seen[asked]))
        sampled = self._negatives > 0
        if sampled:
            drawn = torch.randint(model.items, (self._negatives,), generator=generator, device=rows.device)
            drawn = (
                drawn.sort().values
            )  # [m]; tables are then read in the order in which they lie: a third of the time
        else:
            drawn = torch.arange(model.items, device=rows.device)  # [m]
        own_lift = rest_lift = None
        if model.lift is not None:
            gains, of = model.gains(trail.item, trail.gap), model.rows(trail)  # [w, L, L], [w, L]
            rest_lift = torch.bmm(gains, model.lift[of[:, :, None], drawn])[asked]  # [w, L, m] -> [p, m]
            of_own = model.lift[of[:, None, :], target.clamp(min=0)[:, :, None]]  # [w, L, L]
            own_lift = (gains * of_own).sum(2)[asked]  # [p]
        target = target[asked]  # [p]
        by_item = vectors.flatten(1)  # [items, 2 d]
        rest = query.vector @ by_item[drawn].T + query.popularity[:, None] * model.bias[drawn]  # [p, m]
        own = (query.vector * by_item[target]).sum(1) + query.popularity * model.bias[target]  # [p]
        if own_lift is not None and rest_lift is not None:
            rest, own = rest + query.lift[:, None] * rest_lift, own + query.lift * own_lift
        rest = torch.logsumexp(rest.masked_fill(drawn == target[:, None], -torch.inf), 1)  # [p]
        if sampled:
            # Of `items` items one is drawn `negatives` / `items` times, on average.
            rest = rest + math.log(model.items / self._negatives)
        return (self._weight[rows][asked] * (torch.logaddexp(own, rest) - own)).sum() / places  # [p] -> []


class HybridScorer:
    """Answers questions with a hybrid and each user's last window."""

    def __init__(self, model: Hybrid, windows: Windows, device: torch.device) -> None:
        self.model = model
        self._trail = trail_of(windows, np.full(len(windows.item), -1), device)

    def __call__(self, users: Tensor, items: Tensor) -> Tensor:
        """Score pairs. users: int64[b]; items: int64[b, m]; float[b, m]."""
        return self.all_items(users).gather(1, items)

    def all_items(self, users: Tensor) -> Tensor:
        """Score all items. users: int64[b]; float[b, items]."""
        model, trail = self.model, self._trail.of(users)
        vectors = model.vectors()  # [items, 2, d]
        user = model.encode(trail.item, trail.gap, vectors.sum(1))[:, -1]  # [b, d]
        query = Query.made(user, model.shares(trail.seen[:, -1]))
        scores = query.vector @ vectors.flatten(1).T + query.popularity[:, None] * model.bias  # [b, items]
        if model.lift is None:
            return scores
        gains = model.gains(trail.item, trail.gap)[:, -1]  # [b, L]
        lift = F.embedding_bag(
            model.rows(trail), model.lift, per_sample_weights=gains, mode="sum"
        )  # [b, items]
        return scores + query.lift[:, None] * lift  # [b, items]


def trail_of(windows: Windows, table: NDArray[np.int64], device: torch.device) -> Trail:
    """Put windows on the device. table: int64[w], see `Trail`."""
    return Trail(
        *(torch.from_numpy(part).to(device) for part in (windows.item, windows.gap, windows.seen, table))
    )
