"""The cells of a comparison: one model on one stream, measured by a process of its own, and kept in a file.

A cell's file says what it is of (`Cell.identity`); a file of another identity is measured again.
"""

from __future__ import annotations

import json
import math
import re
import resource
import sys
from collections.abc import Iterable, Mapping, Sequence
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
from producers.datasets import DATASETS

SCHEMA_VERSION: Final = 1
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
    """A data set by its name, and the least rating that is kept; None for all."""

    dataset: str
    min_rating: float | None

    @property
    def label(self) -> str:
        """How tables call it."""
        kept = "all ratings" if self.min_rating is None else f"rating ≥ {self.min_rating:g}"
        return f"{self.dataset}, {kept}"


class Cell(NamedTuple):
    """One model on one stream: settings of its run, what it is of, and its file."""

    stream: StreamChoice
    model: str
    settings: Settings
    identity: dict[str, Any]
    path: Path

    @property
    def label(self) -> str:
        """How progress calls it."""
        return f"{self.stream.label}: {self.model}"

    def finished(self) -> dict[str, Any] | None:
        """Return what is kept of it; None where nothing is, or of other data, settings or versions."""
        try:
            kept = json.loads(self.path.read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        if not isinstance(kept, dict) or kept.get("schema_version") != SCHEMA_VERSION:
            return None
        return kept if kept.get("identity") == self.identity else None

    def keep(self, measured: Mapping[str, Any], jobs: int) -> None:
        """Write the file, whole or not at all. jobs: how many cells were measured at a time."""
        content = {"schema_version": SCHEMA_VERSION, "identity": self.identity, "jobs": jobs, **measured}
        part = self.path.with_name(self.path.name + ".part")
        part.write_text(json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
        part.replace(self.path)


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
    return MODELS[model].ranks or stream.min_rating is None


def cell_of(settings: Settings, stream: StreamChoice, model: str, data_digest: str, folder: Path) -> Cell:
    """Make the cell of one model on one stream; settings: of the comparison. folder: of the cells' files."""
    own = msgspec.structs.replace(
        settings,
        dataset=stream.dataset,
        min_rating=stream.min_rating,
        models=(model,),
        params=tuple(text for text in settings.params if text.split(".", 1)[0] == model),
        log="embedded",
        merge=True,
        # What would slow it down: speed is among the figures.
        speed=None,
        rate=None,
    )
    config = model_parameters.configs(own.params).get(model) or MODELS[model].config_type()
    said = {
        "settings": {name: getattr(own, name) for name in _IDENTITY},
        "config": config,
        "data_digest": data_digest,
        "versions": versions(),
    }
    # As it comes back from the file.
    identity = json.loads(msgspec.json.encode(said))
    rating = 0.0 if stream.min_rating is None else stream.min_rating
    return Cell(stream, model, own, identity, folder / f"{stream.dataset}-min{rating:g}-{model}.json")


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


def rows_of(cells: Iterable[tuple[Cell, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Return a row a cell, tidy: what it is of, its measures (None where there are none), and how it was measured.

    Ranking measures are of the last 70 % of events; rating measures of all events, and again of the last 70 %. They
    are only of streams with all ratings. Rows are in order of streams, within one best first.
    """
    rows = []
    for cell, kept in cells:
        result = kept["result"]
        model = result["models"][cell.model]
        ranked = model["last_70"] if MODELS[cell.model].ranks else None
        rated = cell.stream.min_rating is None
        rating = {"": model["rating"] if rated else None}
        rating["_last_70"] = model["rating_last_70"] if rated else None
        protocols = [name for name, figures in (("P", ranked), ("R", rating[""])) if figures]
        rows.append(
            {
                "dataset": cell.stream.dataset,
                "min_rating": cell.stream.min_rating or 0.0,
                "events": result["events"],
                "protocol": "+".join(protocols),
                "model": cell.model,
                **{measure: (ranked or {}).get(measure) for measure in ("recall@10", "ndcg@10", "mrr@10")},
                "coverage@20": ((model["beyond"] or {}).get("last_70") or {}).get("coverage@20"),
                **{
                    f"{measure}{span}": (figures or {}).get(measure)
                    for span, figures in rating.items()
                    for measure in ("rmse", "mae", "auc", "accuracy")
                },
                "events_per_second": model["events_per_second"],
                "events_per_second_end_to_end": result["events_per_second"],
                "state_bytes": model["state_bytes"],
                "seconds": result["seconds"],
                "peak_memory_bytes": kept["peak_memory_bytes"],
                "jobs": kept["jobs"],
                "seed": result["seed"],
                "tie_rule": result["tie_rule"],
                "tie_ranking": result["tie_ranking"],
                "config": json.dumps(model["config"], sort_keys=True),
                "data_digest": result["data_digest"],
                "digest": result["digest"],
                "version": result["versions"]["engram-stream"],
                "python": result["versions"]["python"],
                "numpy": result["versions"]["numpy"],
                "numba": result["versions"]["numba"],
            }
        )
    order = list(dict.fromkeys((row["dataset"], row["min_rating"]) for row in rows))
    return sorted(rows, key=lambda row: (order.index((row["dataset"], row["min_rating"])), _standing(row)))


def _standing(row: Mapping[str, Any]) -> tuple[float, float, float, str]:
    """Best Recall@10 first, then least RMSE, then best AUC."""
    recall, rmse, auc = row["recall@10"], row["rmse"], row["auc"]
    return (
        math.inf if recall is None else -recall,
        math.inf if rmse is None else rmse,
        math.inf if auc is None else -auc,
        row["model"],
    )
