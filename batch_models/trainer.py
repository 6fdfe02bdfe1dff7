"""Fitting a torch model to interactions: epochs over batches, validation, early stopping, resume.

There is no loader: pairs, negatives and weights are tensors on the device, and a batch is a few index operations. An
epoch draws all that is random from (seed, epoch), so that a fit that goes on equals one that was never interrupted.

Several processes (`torchrun`, see `distributed`) hold the same data, model and random numbers, and each works out the
gradient of its share of every batch; the sum is that of one process, but for rounding and for what dropout draws.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from batch_models import distributed
from batch_models.device import mixed_precision

# Batches below this many rows are not halved any further when memory runs out.
_LEAST_BATCH: Final = 16


@dataclass(frozen=True)
class TrainingConfig:
    """How long and how fast.

    epochs: at most. patience: epochs without a better validation figure before the fit ends, 0 for never. validate_every:
    epochs. batch_size: rows of the objective (positives, or users). rate: of Adam. weight_decay: decoupled from the
    gradient (AdamW), of tables of vectors only. final_rate: share of the rate that it falls to, linearly, over `epochs`.
    stop_after: ends the fit after so many epochs, with the rates of one of `epochs`. seed: of everything random. compile: by
    torch.compile (which needs a C++ compiler on a processor); a model's first batches then take a minute.
    """

    epochs: int = 20
    patience: int = 3
    validate_every: int = 1
    batch_size: int = 4096
    rate: float = 0.002
    weight_decay: float = 0.0
    final_rate: float = 1.0
    stop_after: int | None = None
    seed: int = 0
    compile: bool = False


class Objective(Protocol):
    """What an epoch goes over, and the loss of some of it."""

    @property
    def rows(self) -> int:
        """How many rows an epoch has."""

    @property
    def samples_per_row(self) -> float:
        """Pairs that a row's loss is of, for speeds."""

    def loss(
        self, model: nn.Module, rows: Tensor, generator: torch.Generator, share: slice = slice(None)
    ) -> Tensor:
        """Return what rows[share] contribute to the mean loss of rows. rows: int64[b]; share holds some; a scalar.

        What is drawn does not depend on the share: contributions of shares that part the rows add up to the mean.
        """


class Epoch(NamedTuple):
    """What an epoch came to: mean loss, seconds without validation, and the validation figure, None without one."""

    number: int
    loss: float
    seconds: float
    validation: float | None


@dataclass
class Progress:
    """State of a fit, with which it can go on: epochs so far, and the best epoch's parameters."""

    epochs: list[Epoch] = field(default_factory=list)
    best_epoch: int = 0
    best_validation: float = -torch.inf
    best: dict[str, Tensor] = field(default_factory=dict)
    batch_size: int = 0


class Trainer:
    """Fits a model by Adam, in place.

    validate: figure of the model, the larger the better; the model ends with the parameters of the best epoch, which may
    be epoch 0, what it began with. None: all epochs are done, and the last one's parameters stay. told: called after each
    epoch.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        config: TrainingConfig,
        validate: Callable[[], float] | None = None,
        told: Callable[[Epoch], None] = lambda _: None,
    ) -> None:
        self.model, self.objective, self.config = model, objective, config
        self._validate, self._told = validate, told
        self.device = next(model.parameters()).device
        if config.compile:
            for module in compiled_modules(model):
                module.compile()
        tables = [p for name, p in model.named_parameters() if name.rsplit(".", 1)[-1] in {"user", "item"}]
        known = {id(table) for table in tables}
        others = [p for p in model.parameters() if id(p) not in known]
        groups = [
            {"params": tables, "weight_decay": config.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(
            [group for group in groups if group["params"]], lr=config.rate, fused=self.device.type != "mps"
        )
        self.progress = Progress(batch_size=config.batch_size)

    def fit(self) -> Progress:
        """Do the epochs that are left; return what came of all."""
        progress, config = self.progress, self.config
        if not progress.epochs and self._validate is not None:
            self._note(0, self._validated())
        most = config.epochs if config.stop_after is None else config.stop_after
        while len(progress.epochs) < most and not self._has_stopped():
            epoch = self._epoch(len(progress.epochs) + 1)
            progress.epochs.append(epoch)
            self._note(epoch.number, epoch.validation)
            self._told(epoch)
        if progress.best:
            self.model.load_state_dict(progress.best)
        return progress

    def save(self, path: Path) -> None:
        """Write all that a fit goes on with, after whole epochs, as one safetensors file, whole or not at all."""
        progress = self.progress
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in progress.best.items()}
        for number, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{name}": value for name, value in state.items()}
        said = {
            "epochs": progress.epochs,
            "best_epoch": progress.best_epoch,
            "best_validation": progress.best_validation if progress.best else None,
            "batch_size": progress.batch_size,
        }
        part = path.with_name(f"{path.name}.part")
        save_file(
            {name: value.contiguous() for name, value in tensors.items()}, part, {"fit": json.dumps(said)}
        )
        part.replace(path)

    def load(self, path: Path) -> None:
        """Go on from what `save` wrote. Raises `RuntimeError` for another model's."""
        with safe_open(path, "pt", str(self.device)) as file:
            said = json.loads(file.metadata()["fit"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no mapping
        self.model.load_state_dict(_under("model.", tensors))
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in _under("optimizer.", tensors).items():
            number, _, what = name.partition(".")
            state.setdefault(int(number), {})[what] = value
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": state})
        self.progress = Progress(
            [Epoch(*epoch) for epoch in said["epochs"]],
            said["best_epoch"],
            -torch.inf if said["best_validation"] is None else said["best_validation"],
            _under("best.", tensors),
            said["batch_size"],
        )

    def _note(self, epoch: int, validation: float | None) -> None:
        progress = self.progress
        if validation is not None and validation > progress.best_validation:
            progress.best_epoch, progress.best_validation = epoch, validation
            progress.best = {name: value.clone() for name, value in self.model.state_dict().items()}

    def _has_stopped(self) -> bool:
        progress, config = self.progress, self.config
        return bool(
            config.patience
            and progress.best
            and len(progress.epochs) - progress.best_epoch >= config.patience * config.validate_every
        )

    def _epoch(self, number: int) -> Epoch:
        started = time.perf_counter()
        # Dropout draws from torch's own generator, the rest from ours.
        seed = self.config.seed * 1_000_003 + number
        torch.manual_seed(seed)
        generator = torch.Generator(self.device).manual_seed(seed)
        self.model.train()
        order = torch.randperm(self.objective.rows, generator=generator, device=self.device)  # [rows]
        total = torch.zeros((), device=self.device)
        place = 0
        while place < len(order):
            rows = order[place : place + self.progress.batch_size]  # [b]
            self._set_rate(number - 1 + place / len(order))
            try:
                total += self._step(rows, generator) * len(rows)
            except torch.OutOfMemoryError:
                # Processes of a group go on in step, so none of them halves alone.
                if self.progress.batch_size <= _LEAST_BATCH or distributed.size() > 1:
                    raise
                self.progress.batch_size //= 2
                continue
            place += len(rows)
        loss = float(total) / max(1, len(order))
        seconds = time.perf_counter() - started
        due = number % self.config.validate_every == 0
        return Epoch(number, loss, seconds, self._validated() if due else None)

    def _set_rate(self, epochs: float) -> None:
        done = epochs / self.config.epochs
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.rate * (1.0 - (1.0 - self.config.final_rate) * done)

    def _step(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        rank, size = distributed.rank(), distributed.size()
        loss = torch.zeros((), device=self.device)
        if rank < len(rows):
            with mixed_precision(self.device):
                loss = self.objective.loss(self.model, rows, generator, slice(rank, None, size))  # []
            loss.backward()
        if size > 1:
            loss = distributed.add_up(list(self.model.parameters()), loss.detach())
        self.optimizer.step()
        return loss.detach()

    def _validated(self) -> float | None:
        if self._validate is None:
            return None
        self.model.eval()
        with torch.inference_mode():
            return self._validate()


def compiled_modules(model: nn.Module) -> list[nn.Module]:
    """What is compiled of a model: itself where it can be called as a whole, else those of its modules that can."""
    if type(model).forward is not nn.Module.forward:
        return [model]
    return [module for child in model.children() for module in compiled_modules(child)]


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def refit_config(config: TrainingConfig, epochs: int) -> TrainingConfig:
    """The same, ended after exactly so many epochs."""
    return replace(config, stop_after=epochs, patience=0)
