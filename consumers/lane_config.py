"""What makes a lane's state, apart from its events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from eventlog.errors import CheckpointMismatchError, SettingsError
from online_models.model import ClockName, Model, ModelConfig, Situation
from online_models.registry import MODELS


@dataclass(frozen=True, slots=True)
class LaneConfig:
    """What makes a lane's state, apart from its events.

    models: names in the registry; configs: {model: parameters}, defaults where absent. clock: what decay runs on.
    seed: for models that draw at random. ties_against: whether equal scores count against the target.
    scale: least and greatest rating. max_users, max_items: above, the least recently active are evicted.
    top_every: the best items are noted for the user of every event whose number is a multiple of it; 0 for none.
    drift: which detector watches (`DETECTORS`), or none. share: whether lanes teach each other what they learn of items.
    """

    models: tuple[str, ...]
    configs: Mapping[str, ModelConfig]
    clock: ClockName = "event_count"
    seed: int = 0
    ties_against: bool = True
    scale: tuple[float, float] = (0.0, 10.0)
    max_users: int = 1_000_000
    max_items: int = 250_000
    top_every: int = 256
    drift: str = "adwin"
    share: bool = False

    def fingerprint(self) -> dict[str, Any]:
        """JSON-able identity: a checkpoint of another fingerprint is refused."""
        configs = {name: self.configs.get(name) or MODELS[name].config_type() for name in self.models}
        return {
            "models": {name: described(config) for name, config in configs.items()},
            "clock": self.clock,
            "seed": self.seed,
            "ties_against": self.ties_against,
            "scale": list(self.scale),
            "max_users": self.max_users,
            "max_items": self.max_items,
            "top_every": self.top_every,
            "drift": self.drift,
            **({"share": True} if self.share else {}),
        }

    @classmethod
    def of_fingerprint(cls, fingerprint: Mapping[str, Any]) -> LaneConfig:
        """The configuration that `fingerprint` described. Raises `CheckpointMismatchError` for one of another build."""
        try:
            configs = {
                name: msgspec.convert(config, MODELS[name].config_type)
                for name, config in fingerprint["models"].items()
            }
            rest = {name: value for name, value in fingerprint.items() if name != "models"}
            rest["scale"] = tuple(rest["scale"])
            return cls(models=tuple(configs), configs=configs, **rest)
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointMismatchError(
                f"the checkpoint's configuration is not one of this build of Engram: {error!r}"
            ) from error

    def build(self) -> dict[str, Model]:
        """Make the models. Raises `SettingsError` for an unknown name, and a package that is not installed."""
        unknown = [name for name in self.models if name not in MODELS]
        if unknown or not self.models:
            raise SettingsError(f"model is {unknown or 'absent'}, expected some of {sorted(MODELS)}")
        unable = [name for name in self.models if not MODELS[name].shares_items]
        if self.share and unable:
            able = sorted(name for name, model in MODELS.items() if model.shares_items)
            raise SettingsError(
                f"model is {', '.join(unable)}, expected some of {', '.join(able)} where lanes share what they learn of items"
            )
        situation = Situation(
            clock=self.clock, ties_against=self.ties_against, scale=self.scale, seed=self.seed
        )
        try:
            models = {name: MODELS[name](self.configs.get(name), situation) for name in self.models}
        except ModuleNotFoundError as error:
            raise SettingsError(str(error)) from error
        for model in models.values() if self.share else ():
            model.share()
        return models


def described(config: ModelConfig) -> dict[str, Any]:
    """Parameters as JSON has them: lists for tuples."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in msgspec.to_builtins(config).items()
    }
