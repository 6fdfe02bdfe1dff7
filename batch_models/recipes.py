"""How each batch model is fitted: its settings, its stages, and what is chosen by validation.

A recipe is fitted twice: once with a validation figure, which chooses the epochs of its stages, and once more on
everything with these epochs fixed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from batch_models import distributed
from batch_models.content_based import ContentBased, ContentBasedConfig
from batch_models.gmf import GMF, GMFConfig
from batch_models.hybrid import Hybrid, HybridConfig, HybridScorer, NextItem
from batch_models.ials import IALS, IALSConfig
from batch_models.interactions import Interactions, recency_weights
from batch_models.item_popularity import Popularity, item_popularity
from batch_models.lift import LiftConfig, lift_tables
from batch_models.mf import MF, MFConfig
from batch_models.mlp import MLP, MLPConfig
from batch_models.neumf import NeuMF, NeuMFConfig
from batch_models.objectives import AllItems, Ratings, SampledPairs
from batch_models.pair_model import FactorModel, PairModel
from batch_models.questions import Scorer
from batch_models.sequences import last_windows, recency_of_targets, training_windows
from batch_models.trainer import Epoch, Objective, Trainer, TrainingConfig, refit_config

Validate = Callable[[Scorer], float]
Told = Callable[[str, Epoch], None]


@dataclass(frozen=True)
class Stage(TrainingConfig):
    """A fit of a torch model. over: "pairs" or "all_items", see `batch_models.objectives`. loss: see `losses`."""

    over: str = "pairs"
    loss: str = "bce"
    negatives: int = 4


@dataclass(frozen=True)
class Recency:
    """Weights of positives, see `recency_weights`; half_life_events = inf weighs all alike."""

    half_life_events: float = float("inf")
    floor: float = 0.0


# Chosen on the validation question of ncf-ml-1m.
_RECENCY: Final = Recency(half_life_events=30.0, floor=0.1)
_FACTORS: Final = Stage(
    epochs=15,
    patience=3,
    batch_size=128,
    rate=0.01,
    weight_decay=0.8,
    final_rate=0.1,
    over="all_items",
    loss="softmax",
)
_TOWER: Final = Stage(epochs=10, patience=2, batch_size=4096, rate=0.01, weight_decay=0.1, final_rate=0.1)
_TOGETHER: Final = Stage(
    epochs=4, patience=1, batch_size=4096, rate=0.0005, weight_decay=0.8, final_rate=0.1, loss="softmax"
)
_NEXT: Final = Stage(
    epochs=8, patience=2, batch_size=64, rate=0.002, final_rate=0.05, loss="softmax", negatives=256
)
_DOTS: Final = replace(_FACTORS, epochs=22, weight_decay=0.4, final_rate=1.0)


@dataclass(frozen=True)
class PopularitySettings:
    """Nothing to choose."""


@dataclass(frozen=True)
class ContentSettings:
    """Content alone: see `ContentBasedConfig`."""

    model: ContentBasedConfig = field(default_factory=ContentBasedConfig)


@dataclass(frozen=True)
class IALSSettings:
    """iALS: see `IALSConfig`."""

    model: IALSConfig = field(default_factory=IALSConfig)
    recency: Recency = _RECENCY


@dataclass(frozen=True)
class MFSettings:
    """MF: see `MFConfig`."""

    model: MFConfig = field(default_factory=MFConfig)
    fit: Stage = _DOTS
    recency: Recency = _RECENCY


@dataclass(frozen=True)
class GMFSettings:
    """GMF: see `GMFConfig`."""

    model: GMFConfig = field(default_factory=GMFConfig)
    fit: Stage = _FACTORS
    recency: Recency = _RECENCY


@dataclass(frozen=True)
class MLPSettings:
    """MLP: see `MLPConfig`."""

    model: MLPConfig = field(default_factory=MLPConfig)
    fit: Stage = _TOWER
    recency: Recency = _RECENCY


@dataclass(frozen=True)
class NeuMFSettings:
    """NeuMF: see `NeuMFConfig`; a GMF and an MLP are fitted first."""

    model: NeuMFConfig = NeuMFConfig(alpha=0.7)  # noqa: RUF009, immutable
    gmf: Stage = _FACTORS
    mlp: Stage = _TOWER
    fit: Stage = _TOGETHER
    recency: Recency = _RECENCY


@dataclass(frozen=True)
class HybridSettings:
    """The hybrid: see `HybridConfig`.

    fit: rows are windows; negatives are shared by a batch, 0 for all items; over and loss say nothing. start_epochs: of
    iALS, whose item vectors collaborative vectors start from; 0 for random ones. folds: of users, for tables of lift (see
    `lift_tables`); 0 does without them.
    """

    model: HybridConfig = field(default_factory=HybridConfig)
    fit: Stage = _NEXT
    start_epochs: int = 1
    folds: int = 4
    places: Recency = field(default_factory=Recency)
    lift: LiftConfig = field(default_factory=LiftConfig)
    recency: Recency = _RECENCY


Settings = (
    PopularitySettings
    | ContentSettings
    | IALSSettings
    | MFSettings
    | GMFSettings
    | MLPSettings
    | NeuMFSettings
    | HybridSettings
)


class Fitted(NamedTuple):
    """A fitted model. epochs: {stage: epochs whose parameters it has}. curves: {stage: its epochs}.

    samples: pairs gone through in all; seconds: of training, without validation.
    """

    scorer: Scorer
    epochs: dict[str, int]
    curves: dict[str, list[Epoch]]
    samples: float
    seconds: float
    bytes: int


@dataclass
class Work:
    """One fit of a recipe: what it is fitted to, how it is judged, and what came of its stages so far.

    content: float32[items, f], features of items, f may be 0. validate: None where the epochs of stages are given by
    `fixed`. folder: where each torch stage is kept after each epoch, so that the same work, begun again, goes on from
    there; it must be of this work alone. None: nothing is kept.
    """

    data: Interactions
    content: NDArray[np.float32]
    seed: int
    device: torch.device
    validate: Validate | None = None
    fixed: Mapping[str, int] = field(default_factory=dict)
    told: Told = lambda _stage, _epoch: None
    folder: Path | None = None
    curves: dict[str, list[Epoch]] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    samples: float = 0.0

    def weights(self, recency: Recency) -> NDArray[np.float32]:
        """Weights of the positives."""
        return recency_weights(self.data, recency.half_life_events, recency.floor)

    def stage(self, name: str, model: PairModel, stage: Stage, recency: Recency) -> None:
        """Fit a model of pairs in place."""
        self.fit(name, model, model, self._objective(model, stage, recency), stage)

    def fit(
        self, name: str, model: nn.Module, scorer: Scorer, objective: Objective, config: TrainingConfig
    ) -> None:
        """Fit a model, which is on the device, in place. scorer: answers questions with it."""
        validate = self.validate
        if isinstance(objective, Ratings):
            _blank_unrated(model, self.data)
        kept = None if self.folder is None else self.folder / f"{name}.safetensors"

        def told(epoch: Epoch) -> None:
            if kept is not None and distributed.rank() == 0:
                kept.parent.mkdir(parents=True, exist_ok=True)
                trainer.save(kept)
            self.told(name, epoch)

        trainer = Trainer(
            model,
            objective,
            config if validate is not None else refit_config(config, self.fixed[name]),
            None if validate is None else lambda: validate(scorer),
            told,
        )
        if kept is not None and kept.exists():
            trainer.load(kept)
        fit = trainer.fit()
        model.eval()
        self.curves[name] = fit.epochs
        self.epochs[name] = fit.best_epoch if validate is not None else len(fit.epochs)
        self.samples += len(fit.epochs) * objective.rows * objective.samples_per_row

    def _objective(self, model: PairModel, stage: Stage, recency: Recency) -> Objective:
        weights = self.weights(recency)
        if stage.loss == "mse":
            return Ratings(self.data, weights, self.device)
        if stage.over == "pairs":
            return SampledPairs(self.data, weights, stage.loss, stage.negatives, self.device)
        if stage.over != "all_items" or not isinstance(model, FactorModel):
            allowed = "pairs or all_items" if isinstance(model, FactorModel) else "pairs"
            raise ValueError(f"over is {stage.over!r}, expected {allowed} for {type(model).__name__}")
        return AllItems(self.data, weights, stage.loss, stage.negatives, self.device)


def _blank_unrated(model: nn.Module, data: Interactions) -> None:
    """Let vectors of users and items without a rating be 0: nothing would ever move them from where they began."""
    with torch.no_grad():
        for name, table in model.named_parameters():
            rows = {"user": data.user, "item": data.item}.get(name.rsplit(".", 1)[-1])
            if rows is not None:
                unrated = np.ones(len(table), np.bool_)
                unrated[rows] = False
                table[torch.from_numpy(unrated).to(table.device)] = 0.0


def _popularity(work: Work, _settings: PopularitySettings) -> Scorer:
    return Popularity(work.data, work.device)


def _content(work: Work, settings: ContentSettings) -> Scorer:
    if not work.content.shape[1]:
        raise ValueError("nothing is known of the items, expected a data set with genres or titles")
    return ContentBased(work.data, work.content, settings.model, work.device)


def _ials(work: Work, settings: IALSSettings) -> Scorer:
    data, config = work.data, settings.model
    model = IALS(data.users, data.items, config, work.seed, work.device)
    best = (-np.inf, 0, model.user, model.item)
    curve: list[Epoch] = []
    started = time.perf_counter()

    def after(number: int) -> bool:
        nonlocal best, started
        seconds = time.perf_counter() - started
        figure = None if work.validate is None else work.validate(model)
        curve.append(Epoch(number, float("nan"), seconds, figure))
        work.told("ials", curve[-1])
        if figure is not None and figure > best[0]:
            best = (figure, number, model.user, model.item)
        started = time.perf_counter()
        return work.validate is not None and number - best[1] >= 2

    epochs = config.epochs if work.validate is not None else work.fixed["ials"]
    done = model.fit(data, work.weights(settings.recency), epochs, after)
    if work.validate is not None:
        _, done, model.user, model.item = best
    work.curves["ials"], work.epochs["ials"] = curve, done
    work.samples += len(curve) * data.size
    return model


def _mf(work: Work, settings: MFSettings) -> Scorer:
    model = MF(work.data.users, work.data.items, settings.model, work.seed).to(work.device)
    work.stage("mf", model, settings.fit, settings.recency)
    return model


def _gmf(work: Work, settings: GMFSettings) -> Scorer:
    model = GMF(work.data.users, work.data.items, settings.model, work.seed).to(work.device)
    work.stage("gmf", model, settings.fit, settings.recency)
    return model


def _mlp(work: Work, settings: MLPSettings) -> Scorer:
    model = MLP(work.data.users, work.data.items, settings.model, work.seed).to(work.device)
    work.stage("mlp", model, settings.fit, settings.recency)
    return model


def _neumf(work: Work, settings: NeuMFSettings) -> Scorer:
    users, items, config = work.data.users, work.data.items, settings.model
    model = NeuMF(users, items, config, work.seed)
    gmf, mlp = (
        GMF(users, items, model.gmf.config, work.seed).to(work.device),
        MLP(users, items, model.mlp.config, work.seed + 1).to(work.device),
    )
    work.stage("gmf", gmf, settings.gmf, settings.recency)
    work.stage("mlp", mlp, settings.mlp, settings.recency)
    model.to(work.device).start_from(gmf, mlp)
    work.stage("neumf", model, settings.fit, settings.recency)
    return model


def _hybrid(work: Work, settings: HybridSettings) -> Scorer:
    data, config = work.data, settings.model
    start = None
    if settings.start_epochs:
        first = IALS(data.users, data.items, IALSConfig(config.factors), work.seed, work.device)
        first.fit(data, work.weights(settings.recency), settings.start_epochs)
        start = first.item.cpu()  # [items, d]
    lift = lift_tables(data, settings.folds, settings.lift) if settings.folds else None
    model = Hybrid(config, work.content, item_popularity(data), work.seed, start, lift).to(work.device)
    windows = training_windows(data, config.length, config.length)
    scorer = HybridScorer(model, last_windows(data, config.length), work.device)
    recency = recency_of_targets(data, windows, settings.places.half_life_events, settings.places.floor)
    following = NextItem(windows, settings.fit.negatives, work.device, settings.folds or 1, recency)
    work.fit("hybrid", model, scorer, following, settings.fit)
    return scorer


class Recipe(NamedTuple):
    """settings: the type, whose defaults are the shipped ones. make: fits a model."""

    settings: type[Any]
    make: Callable[[Work, Any], Scorer]


RECIPES: Final[dict[str, Recipe]] = {
    "hybrid": Recipe(HybridSettings, _hybrid),
    "neumf": Recipe(NeuMFSettings, _neumf),
    "gmf": Recipe(GMFSettings, _gmf),
    "mlp": Recipe(MLPSettings, _mlp),
    "mf": Recipe(MFSettings, _mf),
    "ials": Recipe(IALSSettings, _ials),
    "content": Recipe(ContentSettings, _content),
    "popularity": Recipe(PopularitySettings, _popularity),
}


def fit_recipe(name: str, settings: Settings, work: Work) -> Fitted:
    """Fit a model. Raises `ValueError` for settings that do not go together."""
    scorer = RECIPES[name].make(work, settings)
    seconds = sum(epoch.seconds for curve in work.curves.values() for epoch in curve)
    return Fitted(scorer, work.epochs, work.curves, work.samples, seconds, _bytes_of(scorer))


def _bytes_of(scorer: Scorer) -> int:
    if isinstance(scorer, PairModel):
        tensors = list(scorer.parameters())
    elif isinstance(scorer, IALS):
        tensors = [scorer.user, scorer.item]
    elif isinstance(scorer, ContentBased):
        tensors = [scorer.item]
    elif isinstance(scorer, HybridScorer):
        tensors = list(scorer.model.parameters())
        if scorer.model.lift is not None:
            tensors.append(nn.Parameter(scorer.model.lift[-scorer.model.items :]))
    else:
        assert isinstance(scorer, Popularity)
        tensors = [scorer.count]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
