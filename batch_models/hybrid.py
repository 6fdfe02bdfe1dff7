"""The hybrid: what a user did lately, what items are, and how popular they are, in one dot product.

    score(u, c) = x_u . v_c + b_c,    v_c = collaborative vector of c + content vector of c's genres and year

x_u is the encoder's output after the user's last event: causal self-attention over the last `length` events (Kang &
McAuley 2018, "Self-attentive sequential recommendation", ICDM), with learned biases by distance in events in place of
positions, so that a window may begin anywhere, and with the class of the time gap before each event. Collaborative
vectors may start from those of iALS; b_c starts as the logarithm of popularity.

Items and users meet in the dot product only, so whoever has x_u scores all items by one matrix product, without torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812, the field's name for it
from numpy.typing import NDArray
from torch import Tensor, nn

from batch_models.pair_model import dense, embedding
from batch_models.sequences import GAPS, PADDING, Windows

_FORGETS: Final = 0.1  # logits of attention that a step of distance costs at the start


@dataclass(frozen=True)
class HybridConfig:
    """factors: width of everything, a multiple of heads. length: events that are looked back on. dropout: in [0, 1)."""

    factors: int = 64
    length: int = 50
    blocks: int = 1
    heads: int = 2
    dropout: float = 0.2


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

    start: float32[items, factors], collaborative vectors to start from, or None for random ones.
    """

    def __init__(
        self,
        config: HybridConfig,
        content: NDArray[np.float32],
        popularity: NDArray[np.float32],
        seed: int,
        start: Tensor | None = None,
    ) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(seed)
        width = config.factors
        self.items, self.config = len(content), config
        std = width**-0.5
        self.item = embedding(self.items, width, random, std)  # [items, d]
        if start is not None:
            with torch.no_grad():
                self.item.copy_(start * (std / start.std()))
        self.register_buffer("content", torch.from_numpy(content))  # [items, f]
        self.of_content = nn.Parameter(torch.zeros(content.shape[1], width))  # [f, d]
        share = np.log((popularity + 1.0) / (popularity + 1.0).mean())
        self.bias = nn.Parameter(torch.from_numpy(share.astype(np.float32)))  # [items]
        self.gap = embedding(GAPS, width, random, 0.1 * std)  # [gaps, d]
        self.blocks = nn.ModuleList(Block(config, random) for _ in range(config.blocks))
        self.last = nn.LayerNorm(width)

    def vectors(self) -> Tensor:
        """Item vectors v: float[items, d]."""
        return self.item + self.content @ self.of_content  # [items, f] @ [f, d] -> [items, d]

    def encode(self, item: Tensor, gap: Tensor, vectors: Tensor) -> Tensor:
        """Users after each event of windows. item, gap: int64[w, L], see `Windows`; float[w, L, d]."""
        there = item != PADDING  # [w, L]
        known = F.embedding(item.clamp(min=0), vectors)  # [w, L, d]
        scale = self.config.factors**0.5
        hidden = (known * scale + self.gap[gap] * scale) * there[:, :, None]  # [w, L, d]
        hidden = F.dropout(hidden, self.config.dropout, self.training)  # [w, L, d]
        for block in self.blocks:
            hidden = block(hidden, there)  # [w, L, d]
        return self.last(hidden)  # [w, L, d]


class NextItem:
    """The next item of each place in windows by sampled softmax; rows are windows.

    All places of a batch share their negatives, drawn uniformly; with `negatives` 0 all items are.
    """

    def __init__(self, windows: Windows, negatives: int, device: torch.device) -> None:
        self._item, self._target, self._gap = (
            torch.from_numpy(part).to(device) for part in (windows.item, windows.target, windows.gap)
        )  # [w, L] each
        self._negatives = negatives
        self._places = int((windows.target != PADDING).sum()) / max(1, len(windows.item))

    @property
    def rows(self) -> int:
        """Number of windows."""
        return len(self._item)

    @property
    def samples_per_row(self) -> float:
        """Places with a target, on average."""
        return self._places

    def loss(self, model: nn.Module, rows: Tensor, generator: torch.Generator) -> Tensor:
        """See `Objective.loss`; the mean over places."""
        assert isinstance(model, Hybrid)
        vectors = model.vectors()  # [items, d]
        target = self._target[rows]  # [w, L]
        asked = target != PADDING  # [w, L]
        user = model.encode(self._item[rows], self._gap[rows], vectors)[asked]  # [p, d]
        target = target[asked]  # [p]
        if not self._negatives:
            return F.cross_entropy(torch.addmm(model.bias, user, vectors.T), target)  # [p, items] -> []
        drawn = torch.randint(model.items, (self._negatives,), generator=generator, device=rows.device)  # [m]
        logits = torch.addmm(model.bias[drawn], user, vectors[drawn].T)  # [p, m]
        logits = logits.masked_fill(drawn == target[:, None], -torch.inf)  # [p, m]
        own = (user * vectors[target]).sum(1) + model.bias[target]  # [p]
        # Of `items` items one is drawn `negatives` / `items` times, on average.
        spread = float(np.log(model.items / self._negatives))
        rest = torch.logsumexp(logits, 1) + spread  # [p]
        return (torch.logaddexp(own, rest) - own).mean()  # [p] -> []


class HybridScorer:
    """Answers questions with a hybrid and each user's last window."""

    def __init__(self, model: Hybrid, windows: Windows, device: torch.device) -> None:
        self.model = model
        self._item = torch.from_numpy(windows.item).to(device)  # [users, L]
        self._gap = torch.from_numpy(windows.gap).to(device)  # [users, L]

    def users(self, users: Tensor) -> Tensor:
        """User vectors x. users: int64[b]; float[b, d]."""
        return self.model.encode(self._item[users], self._gap[users], self.model.vectors())[:, -1]  # [b, d]

    def __call__(self, users: Tensor, items: Tensor) -> Tensor:
        """Score pairs. users: int64[b]; items: int64[b, m]; float[b, m]."""
        vectors = self.model.vectors()[items]  # [b, m, d]
        return (
            torch.bmm(vectors, self.users(users)[:, :, None]).squeeze(-1) + self.model.bias[items]
        )  # [b, m]

    def all_items(self, users: Tensor) -> Tensor:
        """Score all items. users: int64[b]; float[b, items]."""
        return torch.addmm(self.model.bias, self.users(users), self.model.vectors().T)  # [b, items]
