"""What protocols of `engram train` have in common: ids as rows, runs of models and seeds, tables, files."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from batch_models.content_features import ContentConfig, content_features
from batch_models.item_text import ItemRecord
from engram.figures_table import ratio
from evaluation.tails import student_half_width
from eventlog.errors import SettingsError
from eventlog.metadata import ItemMetadata
from producers.columns import RatingColumns

if TYPE_CHECKING:
    from batch_models.interactions import Interactions

RESULT_FILE: Final = "result.json"
TABLE_FILE: Final = "table.md"
RUNS_FILE: Final = "runs.csv"
CURVES_FILE: Final = "curves.csv"
_NO_FIGURES: Final = ("settings", "curves", "by_user_band", "by_item_band")
_FITS: Final = "fits"


class Rows(NamedTuple):
    """Rows of users and items: their ids, `S<width>`, in ascending order."""

    users: NDArray[np.bytes_]
    items: NDArray[np.bytes_]

    def of_users(self, ids: NDArray[np.bytes_]) -> NDArray[np.int64]:
        """Rows of users, all of which are there; of the shape of ids."""
        return np.searchsorted(self.users, ids).astype(np.int64)

    def of_items(self, ids: NDArray[np.bytes_]) -> NDArray[np.int64]:
        """Rows of items, all of which are there; of the shape of ids."""
        return np.searchsorted(self.items, ids).astype(np.int64)

    def interactions(self, columns: RatingColumns) -> Interactions:
        """Ratings as a batch model is fitted to them."""
        from batch_models.interactions import Interactions

        return Interactions(
            self.of_users(columns.users),
            self.of_items(columns.items),
            columns.event_time_ms,
            columns.ratings.astype(np.float32),
            len(self.users),
            len(self.items),
        )

    def content(
        self, known: Sequence[ItemMetadata], config: ContentConfig, before_ms: int
    ) -> NDArray[np.float32]:
        """What is known of the items, see `content_features`; of tags, those of up to `before_ms`, event time.

        Raises `SettingsError` for a model that cannot be read.
        """
        row_of = {item.decode(): row for row, item in enumerate(self.items.tolist())}
        records = [
            ItemRecord(
                row_of[item.item],
                item.title,
                item.year or 0,
                item.genres,
                [tag.text for tag in item.tags if tag.event_time_ms <= before_ms],
            )
            for item in known
            if item.item in row_of
        ]
        try:
            return content_features(len(self.items), records, config)
        except ValueError as error:
            raise SettingsError(str(error)) from None


class Kept(NamedTuple):
    """What a command leaves in the folder `out` for one that goes on: finished runs, and fits after each epoch.

    resume: go on with it; False begins anew.
    """

    out: Path
    resume: bool = False

    def runs(self, result: Mapping[str, Any]) -> Mapping[str, list[dict[str, Any]]]:
        """Return finished runs by model, of the same protocol, data and program as `result` is of.

        Raises `SettingsError` for a file that is no result.
        """
        path = self.out / RESULT_FILE
        if not self.resume or not path.exists():
            return {}
        try:
            earlier = json.loads(path.read_text("utf-8"))
            same = all(
                earlier.get(name) == result.get(name)
                for name in ("protocol", "data_digest", "content", "versions")
            )
            return dict(earlier["models"]) if same else {}
        except (ValueError, KeyError, TypeError) as error:
            raise SettingsError(f"out holds {path.name} that cannot be gone on with: {error!r}") from None

    @contextlib.contextmanager
    def folder(self, name: str, seed: int, settings: Mapping[str, Any], data_digest: str) -> Iterator[Path]:
        """Yield the folder of a run's fits, which is removed when the run is done, and stays if it fails."""
        from batch_models import distributed

        said = json.dumps([settings, data_digest], sort_keys=True)
        folder = self.out / _FITS / f"{name}-{seed}-{hashlib.sha256(said.encode()).hexdigest()[:12]}"
        if not self.resume and distributed.rank() == 0:
            shutil.rmtree(folder, ignore_errors=True)
        distributed.wait()
        yield folder
        distributed.wait()
        if distributed.rank() == 0:
            shutil.rmtree(folder, ignore_errors=True)
            with contextlib.suppress(OSError):  # others are still there
                (self.out / _FITS).rmdir()


def train_runs(
    names: Sequence[str],
    params: Sequence[str],
    seeds: Sequence[int],
    device_name: str,
    threads: int | None,
    run_one: Callable[[str, Any, int, Any, Path], dict[str, Any]],
    result: dict[str, Any],
    done: Callable[[dict[str, Any]], None],
    kept: Kept,
    *,
    rated: bool = False,
) -> dict[str, Any]:
    """Run each model with each seed; return `result` with figures of `models`, JSON-able.

    run_one: told name, settings, seed, device, and a folder that keeps what is half done. done: told the result so far
    after each run. rated: with the settings of models that predict ratings. Raises `SettingsError` for names, settings or a device that are none.
    """
    from batch_models import distributed
    from batch_models.device import pick_device, use_threads
    from batch_models.rating_settings import rating_settings
    from batch_models.settings_of import described as plain
    from batch_models.settings_of import settings_of

    settings = settings_of(names, params, rating_settings() if rated else None)
    try:
        device = pick_device(device_name)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    earlier = kept.runs(result)
    distributed.wait()  # the first process writes the file anew
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    # Models that were done before and are not named stay in the table.
    runs |= {name: done_before for name, done_before in earlier.items() if name not in runs}
    result |= {
        "device": str(device),
        "threads": use_threads(threads),
        "seeds": list(seeds),
        "models": runs,
    }
    for seed in seeds:
        for name in names:
            described = plain(settings[name])
            same = [
                one for one in earlier.get(name, ()) if (one["seed"], one["settings"]) == (seed, described)
            ]
            if same:
                runs[name].append(same[0])
                done(result)
                continue
            try:
                with kept.folder(name, seed, described, result["data_digest"]) as folder:
                    runs[name].append(run_one(name, settings[name], seed, device, folder))
            except ValueError as error:
                raise SettingsError(f"{name}: {error}") from None
            done(result)
    return result


def interval(values: Sequence[float]) -> str:
    """Write a mean of 0 to 1, and of several runs the half-width of its 95 % interval."""
    text = ratio(float(np.mean(values)))
    if len(values) > 1:
        text += f" ± {ratio(student_half_width(values))}"
    return text


def write_result(
    folder: Path, result: Mapping[str, Any], columns: Sequence[str], rows: Sequence[tuple[str, ...]]
) -> None:
    """Write result.json, table.md, runs.csv (a row a run) and curves.csv (a row an epoch), each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"| {' | '.join(columns)} |", f"|---|{'---:|' * (len(columns) - 1)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    texts = {
        RESULT_FILE: json.dumps(result, indent=1, allow_nan=False),
        TABLE_FILE: "\n".join(lines),
        RUNS_FILE: _csv(_run_rows(result)),
        CURVES_FILE: _csv(_curve_rows(result)),
    }
    for name, text in texts.items():
        part = folder / f"{name}.part"
        part.write_text(text + "\n", "utf-8")
        part.replace(folder / name)


def _run_rows(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A run as one row: what it came to, with the names of parts before the names of their figures."""
    rows = []
    for name, runs in result["models"].items():
        for run in runs:
            row: dict[str, Any] = {"model": name, "seed": run["seed"]}
            for key, value in run.items():
                if key in _NO_FIGURES:
                    continue
                if isinstance(value, Mapping):
                    row |= {f"{key} {part}": of_part for part, of_part in value.items()}
                else:
                    row[key] = value
            rows.append(row)
    return rows


def _curve_rows(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"model": name, "seed": run["seed"], "phase": phase, "stage": stage, **epoch}
        for name, runs in result["models"].items()
        for run in runs
        for phase, stages in run["curves"].items()
        for stage, epochs in stages.items()
        for epoch in epochs
    ]


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV; numbers with six digits, and columns in order of first appearance."""
    out = io.StringIO()
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()}
        )
    return out.getvalue().rstrip("\n")
