"""The cells of a comparison: one model on one stream, measured by a process of its own, and kept in a file.

A cell's file says what it is of (`Cell.identity`); a file of another identity is measured again.
"""

from __future__ import annotations

import json
import re
import resource
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from consumers.versions import versions
from engram import model_parameters
from engram.run_folder import IDENTITY
from engram.settings import Settings
from engram.source import SYNTHETIC
from eventlog.errors import SettingsError
from online_models.blend_batch import BlendBatch
from online_models.registry import MODELS
from peers.catalogue import PEERS, peer_sources
from peers.files import RANK_EVENTS
from producers.datasets import DATASETS

SCHEMA_VERSION: Final = 2
FLOORS: Final = ("popularity", "decayed_popularity")

# What makes a cell's figures, its speed among them.
_IDENTITY: Final = (
    *(name for name in IDENTITY if name != "log"),
    "max_users",
    "max_items",
    "top_every",
    "batch_size",
    "pack",
    "checkpoint_every_events",
    "checkpoint_every_s",
)
_STREAM: Final = re.compile(r"(?P<dataset>[^:\s]+)(:(?P<rating>[0-9]+(\.[0-9]+)?))?")


class StreamChoice(NamedTuple):
    """A data set by its name, the least rating that is kept (None: all), and how many events, for what is slow (None: all)."""

    dataset: str
    min_rating: float | None
    first: int | None = None

    @property
    def label(self) -> str:
        """How tables call it."""
        kept = "all ratings" if self.min_rating is None else f"rating ≥ {self.min_rating:g}"
        return f"{self.dataset}, {kept}" + (f", first {self.first:,} events" if self.first else "")


class Cell(NamedTuple):
    """One model on one stream: settings of its run, what it is of, and its file.

    python: the interpreter of a peer's environment, '' for a model of ours. repetition: whether it is one with another seed.
    """

    stream: StreamChoice
    model: str
    settings: Settings
    identity: dict[str, Any]
    path: Path
    python: str = ""
    repetition: bool = False

    @property
    def label(self) -> str:
        """How progress calls it."""
        return f"{self.stream.label}: {self.model}" + (
            f", seed {self.settings.seed}" if self.repetition else ""
        )

    @property
    def ranks_path(self) -> Path:
        """Where its ranks are kept, see `engram.compare_ranks`."""
        return self.path.with_suffix(".ranks.npz")

    @property
    def arguments(self) -> list[str]:
        """What the child that measures it is told, beside settings and folder."""
        return ["compare-cell", *(("--peer", self.model, "--python", self.python) if self.python else ())]

    def finished(self) -> dict[str, Any] | None:
        """Return what is kept of it; None where nothing is, or of other data, settings or versions."""
        return read_kept(self.path, self.identity)

    def keep(self, measured: Mapping[str, Any], jobs: int) -> None:
        """Write the file, whole or not at all. jobs: how many cells were measured at a time."""
        write_kept(self.path, self.identity, measured, jobs)


def read_kept(path: Path, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what `write_kept` wrote; None where nothing is, or of another identity."""
    try:
        kept = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(kept, dict) or kept.get("schema_version") != SCHEMA_VERSION:
        return None
    return kept if kept.get("identity") == identity else None


def write_kept(path: Path, identity: Mapping[str, Any], measured: Mapping[str, Any], jobs: int) -> None:
    """Write what was measured, whole or not at all. jobs: how many were measured at a time."""
    content = {"schema_version": SCHEMA_VERSION, "identity": identity, "jobs": jobs, **measured}
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
    part.replace(path)


def parse_streams(text: str) -> tuple[StreamChoice, ...]:
    """Read `ml-100k:5,ml-1m:0`: names, each with the least rating that is kept, 0 or none for all.

    Raises `SettingsError` naming the part that cannot be used, and what was expected.
    """
    known = [*DATASETS, SYNTHETIC]
    streams: list[StreamChoice] = []
    for part in text.split(","):
        found = _STREAM.fullmatch(part.strip())
        if found is None:
            raise SettingsError(
                f"datasets has {part!r}, expected NAME:RATING separated by commas, such as ml-100k:5,ml-1m:0"
            )
        name, rating = found["dataset"], float(found["rating"] or 0)
        if name not in known:
            raise SettingsError(f"datasets has {part!r}, expected one of {', '.join(known)}")
        greatest = 0.0 if name == SYNTHETIC else DATASETS[name].rating_max
        if rating > greatest:
            kept = f"a least rating from 0 (all) to {greatest:g}" if greatest else "no least rating"
            raise SettingsError(f"datasets has {part!r}, expected {kept}")
        stream = StreamChoice(name, rating or None)
        if stream in streams:
            raise SettingsError(f"datasets has {part!r} twice, expected each once")
        streams.append(stream)
    return tuple(streams)


def choose_models(named: Sequence[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the floors and the models named, all when none is, and {model left out: what it lacks}.

    Raises `SettingsError` for an unknown name, and for one that is named and lacks its package.
    """
    unknown = [name for name in named if name not in MODELS]
    if unknown:
        raise SettingsError(f"model is {unknown}, expected some of {sorted(MODELS)}")
    chosen, lacking = [], {}
    for name in dict.fromkeys((*FLOORS, *(named or MODELS))):
        if name == BlendBatch.name and not named:
            lacking[name] = f"{name} has no versions of a batch model here: engram replay --retrain-every has"
            continue
        try:
            MODELS[name]()
        except ModuleNotFoundError as error:
            if named:
                raise SettingsError(str(error)) from error
            lacking[name] = str(error)
        else:
            chosen.append(name)
    return tuple(chosen), lacking


def measures_on(model: str, stream: StreamChoice) -> bool:
    """Whether there is something to measure: a model that does not rank predicts ratings, and needs all of them."""
    return ranks(model) or stream.min_rating is None


def ranks(model: str) -> bool:
    """Whether a model, or a peer, ranks."""
    return PEERS[model].protocol == RANK_EVENTS if model in PEERS else MODELS[model].ranks


def cell_of(
    settings: Settings, stream: StreamChoice, model: str, data_digest: str, folder: Path, python: str = ""
) -> Cell:
    """Make the cell of one model on one stream; settings: of the comparison. folder: of the cells' files.

    python: for a peer, see `Cell`. The digest is that of the whole stream, where `stream.first` takes a part of it.
    """
    own = msgspec.structs.replace(
        settings,
        dataset=stream.dataset,
        min_rating=stream.min_rating,
        models=() if model in PEERS else (model,),
        limit=stream.first if settings.limit is None else min(settings.limit, stream.first or settings.limit),
        params=tuple(text for text in settings.params if text.split(".", 1)[0] == model),
        log="embedded",
        merge=True,
        # What would slow it down: speed is among the figures.
        speed=None,
        rate=None,
    )
    said = {
        "settings": {name: getattr(own, name) for name in _IDENTITY},
        "config": _config(own, model),
        "data_digest": data_digest,
        "versions": versions(),
    }
    # As it comes back from the file.
    identity = json.loads(msgspec.json.encode(said))
    rating = 0.0 if stream.min_rating is None else stream.min_rating
    part = f"-first{stream.first}" if stream.first else ""
    path = folder / f"{stream.dataset}-min{rating:g}{part}-{model}.json"
    return Cell(stream, model, own, identity, path, python)


def _config(settings: Settings, model: str) -> Any:
    """What a model is, beside its settings: parameters, or of a peer its program and the packages of its environment."""
    if model not in PEERS:
        return model_parameters.configs(settings.params).get(model) or MODELS[model].config_type()
    return PEERS[model]._asdict() | {"sources": peer_sources(model)}


def peak_memory_bytes() -> int:
    """The most memory that this process has had resident."""
    try:
        # Of this program alone: getrusage also counts what the parent had when it started us.
        [line] = [
            line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")
        ]
        return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
