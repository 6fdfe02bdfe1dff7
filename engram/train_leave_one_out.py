"""Batch models under the leave-one-out protocol: the data as arrays, the runs, and their table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from batch_models.content_features import ContentConfig
from consumers.versions import versions
from engram.figures_table import size
from engram.leave_one_out import data_digest
from engram.train_runs import Kept, Rows, interval, train_runs
from eventlog.metadata import ItemMetadata
from producers.leave_one_out import LeaveOneOut, hold_out_last

if TYPE_CHECKING:
    from batch_models.leave_one_out import Protocol, Told

SCHEMA_VERSION: Final = 1
COLUMNS: Final = (
    "model", "HR@10 of 100", "NDCG@10 of 100", "HR@10 all items", "NDCG@10 all items", "parameters", "choose s", "refit s",
    "samples/s",
)  # fmt: skip


def protocol_of(
    data: LeaveOneOut, known: Sequence[ItemMetadata], content: ContentConfig, seed: int
) -> Protocol:
    """Make arrays of the test and of the validation question, with the same rows. seed: of the validation's negatives."""
    from batch_models.leave_one_out import Protocol
    from batch_models.questions import Questions

    held_out = hold_out_last(data, seed)
    rows = Rows(
        np.unique(np.concatenate([data.train.users, data.users])),
        np.unique(np.concatenate([data.train.items, data.items, data.negatives.ravel()])),
    )

    def questions(part: LeaveOneOut) -> Questions:
        return Questions(rows.of_users(part.users), rows.of_items(part.items), rows.of_items(part.negatives))

    return Protocol(
        rows.interactions(held_out.train),
        questions(held_out),
        rows.interactions(data.train),
        questions(data),
        rows.content(known, content, int(data.train.event_time_ms.max())),
    )


def train_leave_one_out(
    names: Sequence[str],
    params: Sequence[str],
    data: LeaveOneOut,
    known: Sequence[ItemMetadata],
    content: ContentConfig,
    seeds: Sequence[int],
    device_name: str,
    threads: int | None,
    told: Told,
    done: Callable[[dict[str, Any]], None],
    kept: Kept,
) -> dict[str, Any]:
    """Choose, refit and test each model with each seed; return the figures, JSON-able.

    done: told the result so far after each run. Raises `SettingsError` for names, settings or a device that are none.
    known: of items, and content: how they are described, for models that know content.
    """
    from batch_models.leave_one_out import run

    protocols: dict[int, Protocol] = {}

    def run_one(name: str, of: Any, seed: int, device: Any, folder: Path) -> dict[str, Any]:
        if seed not in protocols:
            protocols.clear()
            protocols[seed] = protocol_of(data, known, content, seed)
        result["items"] = protocols[seed].train.items
        return run(name, of, protocols[seed], seed, device, told, folder)[0]

    result: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "protocol": "leave one out, chosen on each user's last item of training",
        "train_events": data.train.size,
        "users": len(data.users),
        "negatives": int(data.negatives.size),
        "negatives_equal_to_target": int((data.negatives == data.items[:, None]).sum()),
        "items_with_metadata": len(known),
        "content": [content.encoder, content.genre_weight],
        "data_digest": data_digest(data),
        "versions": versions(),
    }
    return train_runs(names, params, seeds, device_name, threads, run_one, result, done, kept)


def table_rows(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """A row of texts a model, best NDCG first; with several seeds the mean and the half-width of its 95 % interval."""
    runs = {name: found for name, found in result["models"].items() if found}

    def figure(name: str, of: str, measure: str) -> str:
        return interval([one[of][measure] for one in runs[name]])

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
