"""The hybrid for the stream: item vectors and a network, with which a user's vector is made of the live history.

Without tables of lift: what follows what, the blend learns online, event by event, and a table of all pairs of items has no
place in an artefact. The stream needs no torch (`online_models.attention_kernel`).

The artefact holds all that was learned, so that it can be tuned: `tune` starts from one and is fitted to the events later
than its cut, at a lower rate. Items that are new begin as in training; a full training every few versions takes in what came
late and ends what was forgotten.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from batch_models.device import pick_device
from batch_models.from_cut import manifest_of, pairs_of
from batch_models.hybrid import AGES, Block, Hybrid, HybridConfig, NextItem
from batch_models.ials import IALS, IALSConfig
from batch_models.interactions import Interactions
from batch_models.item_popularity import item_popularity
from batch_models.sequences import GAP_ENDS_S, PADDING, Windows, training_windows
from batch_models.trainer import Trainer, TrainingConfig
from eventlog.artefact import ATTENTION_SCHEMA, Arrays, Artefact, Attention
from eventlog.cut import Cut
from eventlog.errors import ArtefactMismatchError

NAME: Final = "hybrid"


@dataclass(frozen=True)
class HybridArtefactConfig:
    """model: see `HybridConfig`. epochs, rate, batch_size: of windows; tune_rate, tune_epochs: on the newest events alone.

    negatives: shared by a batch. start_epochs: of iALS, see `recipes.HybridSettings`.
    """

    model: HybridConfig = HybridConfig(dropout=0.2)  # noqa: RUF009, immutable
    epochs: int = 4
    rate: float = 0.002
    batch_size: int = 64
    negatives: int = 256
    start_epochs: int = 1
    tune_epochs: int = 1
    tune_rate: float = 0.0005


def train(cut: Cut, seed: int, config: HybridArtefactConfig | None = None) -> Artefact:
    """Train on a cut. Items without an event are left out. The same cut and seed give the same bits on one device."""
    config = config or HybridArtefactConfig()
    data, here = pairs_of(cut)
    device = pick_device()
    start = None
    if config.start_epochs:
        first = IALS(data.users, data.items, IALSConfig(config.model.factors), seed, device)
        first.fit(data, np.ones(data.size, np.float32), config.start_epochs)
        start = first.item.cpu()  # [items, d]
    model = _model(data, config.model, seed, start)
    windows = training_windows(data, config.model.length, config.model.length)
    fitting = TrainingConfig(
        config.epochs, 0, batch_size=config.batch_size, rate=config.rate, final_rate=0.05, seed=seed
    )
    _fit(model.to(device), windows, fitting, config.negatives, device)
    return _artefact(model.cpu(), cut, here, seed, config, data, {})


def tune(cut: Cut, seed: int, before: Artefact, config: HybridArtefactConfig | None = None) -> Artefact:
    """Fit an artefact of `train` or `tune` to the events of a later cut that came after its own, and to no others.

    Raises `ArtefactMismatchError` for one of another shape, or of a later cut.
    """
    config = config or HybridArtefactConfig()
    said = before.manifest
    if said.events > cut.events:
        raise ArtefactMismatchError(
            f"version {said.version} is of {said.events} events, expected {cut.events} at most"
        )
    data, here = pairs_of(cut)
    device = pick_device()
    model = _model(data, config.model, seed, None)
    _restore(model, before, [raw.decode() for raw in cut.item_ids[here].tolist()])
    # What a user had before is looked back on; what is to be predicted is new.
    windows = training_windows(data, config.model.length, config.model.length)
    windows = _only_new(windows, data, said.clock_time_ms)
    fitting = TrainingConfig(
        config.tune_epochs, 0, batch_size=config.batch_size, rate=config.tune_rate, seed=seed
    )
    if len(windows.item):
        _fit(model.to(device), windows, fitting, config.negatives, device)
    more = {"tuned_from": said.version, "tuned_from_events": said.events}
    return _artefact(model.cpu(), cut, here, seed, config, data, more)


def _model(data: Interactions, config: HybridConfig, seed: int, start: Tensor | None) -> Hybrid:
    return Hybrid(config, np.zeros((data.items, 0), np.float32), item_popularity(data), seed, start)


def _fit(
    model: Hybrid, windows: Windows, config: TrainingConfig, negatives: int, device: torch.device
) -> None:
    Trainer(model, NextItem(windows, negatives, device), config).fit()
    model.eval()


def _only_new(windows: Windows, data: Interactions, after_ms: int) -> Windows:
    """The windows with targets later than `after_ms`, event time, and these targets alone."""
    order = np.argsort(data.user, kind="stable")
    start = np.cumsum(np.bincount(data.user, minlength=data.users)) - np.bincount(
        data.user, minlength=data.users
    )
    asked = windows.target != PADDING
    # A place that has seen s events of its user predicts event s, counted from 0.
    place = np.where(asked, start[windows.user][:, None] + windows.seen, 0)
    target = np.where(asked & (data.time_ms[order][place] > after_ms), windows.target, PADDING)
    kept = (target != PADDING).any(1)
    return Windows(*(part[kept] for part in windows._replace(target=target)))


def _places(model: Hybrid) -> list[tuple[Tensor, bool]]:
    """Views of what the array `network` holds between the ends of gaps and the shares, in order; whether each is turned."""

    def norm(of: nn.LayerNorm) -> list[tuple[Tensor, bool]]:
        return [(of.weight, False), (of.bias, False)]

    def layer(of: nn.Linear, first: int = 0) -> list[tuple[Tensor, bool]]:
        rows = slice(first, first + of.in_features)
        return [(of.weight[rows], True), (of.bias[rows], False)]

    d = model.config.factors
    found: list[tuple[Tensor, bool]] = [(model.gap, False)]
    for block in model.blocks:
        assert isinstance(block, Block)
        found += norm(block.before_attention)
        for queries_keys_values in (0, d, 2 * d):
            found += layer(block.project, queries_keys_values)
        found += [*layer(block.join), *norm(block.before_feed), *layer(block.feed), *layer(block.out)]
        found.append((block.distance, False))
    return found + norm(model.last)


def network_of(model: Hybrid) -> NDArray[np.float32]:
    """Parameters of a hybrid without content as the array `network` of `eventlog.artefact`."""
    with torch.no_grad():
        parts = [torch.tensor(GAP_ENDS_S, dtype=torch.float32)]
        parts += [(view.T if turned else view).reshape(-1) for view, turned in _places(model)]
        parts.append(model.share[:, [0, 2]].reshape(-1))  # collaborative and popularity, [AGES, 2]
        return torch.cat(parts).numpy()


def _restore(model: Hybrid, before: Artefact, ids: list[str]) -> None:
    encoder, arrays = before.manifest.encoder, before.arrays
    mine = _encoder(model.config)
    if encoder != mine:
        raise ArtefactMismatchError(f"encoder is {encoder}, expected {mine}, which is what is trained here")
    network = torch.from_numpy(arrays["network"].copy())
    at = len(GAP_ENDS_S)
    with torch.no_grad():
        for view, turned in _places(model):
            shape = view.T.shape if turned else view.shape
            size = math.prod(shape)
            part = network[at : at + size].view(shape)
            view.copy_(part.T if turned else part)
            at += size
        model.share[:, [0, 2]] = network[at:].view(AGES, 2)
        rows = {item: row for row, item in enumerate(before.manifest.item_ids)}
        had = [(row, rows[item]) for row, item in enumerate(ids) if item in rows]
        here, there = torch.tensor(had, dtype=torch.int64).view(-1, 2).unbind(1)
        known = torch.from_numpy(arrays["item_out"])[there]  # [known items, d + 1]
        model.item[here], model.bias[here] = known[:, :-1], known[:, -1]


def _encoder(config: HybridConfig) -> Attention:
    return Attention(
        length=config.length,
        width=config.factors,
        heads=config.heads,
        blocks=config.blocks,
        parts=1,
        gaps=len(GAP_ENDS_S),
    )


def _artefact(
    model: Hybrid,
    cut: Cut,
    here: NDArray[np.int32],
    seed: int,
    config: HybridArtefactConfig,
    data: Interactions,
    more: dict[str, int],
) -> Artefact:
    with torch.no_grad():
        vectors = torch.cat((model.item, model.bias[:, None]), 1).numpy()  # [items, d + 1]
    arrays: Arrays = {
        "item_in": vectors,
        "item_out": vectors.copy(),
        "bias": np.zeros(len(vectors), np.float32),
        "network": network_of(model),
    }
    manifest = manifest_of(
        cut,
        here,
        name=NAME,
        encoder=_encoder(config.model),
        parameters=asdict(config) | more,
        seed=seed,
        metrics={"items": float(len(here)), "pairs": float(data.size)},
        schema=ATTENTION_SCHEMA,
    )
    return Artefact(manifest, arrays)
