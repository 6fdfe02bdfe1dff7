"""Batch models under the leave-one-out protocol: the data as arrays, the runs, and their table."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from consumers.versions import versions
from engram.figures_table import ratio, size
from engram.leave_one_out import data_digest
from eventlog.errors import SettingsError
from online_models.catalogue import ItemFacts
from producers.leave_one_out import LeaveOneOut, hold_out_last

if TYPE_CHECKING:
    from batch_models.leave_one_out import Protocol, Told

RESULT_FILE: Final = "result.json"
TABLE_FILE: Final = "table.md"
SCHEMA_VERSION: Final = 1
COLUMNS: Final = (
    "model", "HR@10 of 100", "NDCG@10 of 100", "HR@10 all items", "NDCG@10 all items", "parameters", "choose s", "refit s",
    "samples/s",
)  # fmt: skip


def protocol_of(data: LeaveOneOut, facts: Sequence[ItemFacts], seed: int) -> Protocol:
    """Make arrays of the test and of the validation question, with the same rows. seed: of the validation's negatives."""
    from batch_models.content_features import content_features
    from batch_models.interactions import Interactions
    from batch_models.leave_one_out import Protocol
    from batch_models.questions import Questions

    held_out = hold_out_last(data, seed)
    people = np.unique(np.concatenate([data.train.users, data.users]))
    catalogue = np.unique(np.concatenate([data.train.items, data.items, data.negatives.ravel()]))

    def rows(ids: NDArray[np.bytes_], of: NDArray[np.bytes_]) -> NDArray[np.int64]:
        return np.searchsorted(of, ids).astype(np.int64)

    def interactions(part: LeaveOneOut) -> Interactions:
        return Interactions(
            rows(part.train.users, people),
            rows(part.train.items, catalogue),
            part.train.event_time_ms,
            part.train.ratings.astype(np.float32),
            len(people),
            len(catalogue),
        )

    def questions(part: LeaveOneOut) -> Questions:
        return Questions(
            rows(part.users, people), rows(part.items, catalogue), rows(part.negatives, catalogue)
        )

    row_of = {item.decode(): row for row, item in enumerate(catalogue.tolist())}
    content = content_features(
        len(catalogue),
        [(row_of[fact.item], fact.genres, fact.year or 0) for fact in facts if fact.item in row_of],
    )
    return Protocol(interactions(held_out), questions(held_out), interactions(data), questions(data), content)


def train_leave_one_out(
    names: Sequence[str],
    params: Sequence[str],
    data: LeaveOneOut,
    facts: Sequence[ItemFacts],
    seeds: Sequence[int],
    device_name: str,
    threads: int | None,
    told: Told,
    done: Callable[[dict[str, Any]], None] = lambda _: None,
) -> dict[str, Any]:
    """Choose, refit and test each model with each seed; return the figures, JSON-able.

    done: told the result so far after each run. Raises `SettingsError` for names, settings or a device that are none.
    facts: of items, for models that know content.
    """
    from batch_models.device import pick_device, use_threads
    from batch_models.leave_one_out import run
    from batch_models.settings_of import settings_of

    settings = settings_of(names, params)
    try:
        device = pick_device(device_name)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    used = use_threads(threads)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    result = {
        "schema_version": SCHEMA_VERSION,
        "protocol": "leave one out, chosen on each user's last item of training",
        "train_events": data.train.size,
        "users": len(data.users),
        "negatives": int(data.negatives.size),
        "negatives_equal_to_target": int((data.negatives == data.items[:, None]).sum()),
        "device": str(device),
        "threads": used,
        "seeds": list(seeds),
        "items_with_metadata": len(facts),
        "data_digest": data_digest(data),
        "versions": versions(),
        "models": runs,
    }
    for seed in seeds:
        protocol = protocol_of(data, facts, seed)
        result["items"] = protocol.train.items
        for name in names:
            try:
                figures, _ = run(name, settings[name], protocol, seed, device, told)
            except ValueError as error:
                raise SettingsError(f"{name}: {error}") from None
            runs[name].append(figures)
            done(result)
    return result


def table_rows(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """A row of texts a model, best NDCG first; with several seeds the mean and the half-width of its 95 % interval."""
    runs = {name: found for name, found in result["models"].items() if found}

    def figure(name: str, of: str, measure: str) -> str:
        values = [one[of][measure] for one in runs[name]]
        text = ratio(float(np.mean(values)))
        if len(values) > 1:
            # Student's t: the mean of a few runs.
            spread = (
                _T95[min(len(values), len(_T95)) - 1] * float(np.std(values, ddof=1)) / math.sqrt(len(values))
            )
            text += f" ± {ratio(spread)}"
        return text

    def mean(name: str, what: str) -> float:
        return float(np.mean([one[what] or 0.0 for one in runs[name]]))

    order = sorted(runs, key=lambda name: -np.mean([one["sampled"]["ndcg@10"] for one in runs[name]]))
    return [
        (
            name,
            *(
                figure(name, of, measure)
                for of in ("sampled", "all_items")
                for measure in ("hr@10", "ndcg@10")
            ),
            size(int(mean(name, "bytes"))),
            f"{mean(name, 'choose_seconds'):.0f}",
            f"{mean(name, 'refit_seconds'):.0f}",
            f"{mean(name, 'samples_per_second'):,.0f}" if mean(name, "samples_per_second") else "-",
        )
        for name in order
    ]


# Two-sided 95 % of Student's t by number of runs, from one run (no interval) on.
_T95: Final = (math.nan, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


def write_result(folder: Path, result: Mapping[str, Any]) -> None:
    """Write result.json and table.md, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"| {' | '.join(COLUMNS)} |", f"|---|{'---:|' * (len(COLUMNS) - 1)}"]
    lines += [f"| {' | '.join(row)} |" for row in table_rows(result)]
    texts = {RESULT_FILE: json.dumps(result, indent=1, allow_nan=False), TABLE_FILE: "\n".join(lines)}
    for name, text in texts.items():
        part = folder / f"{name}.part"
        part.write_text(text + "\n", "utf-8")
        part.replace(folder / name)
