"""Source system 2: NeuMF (GMF of 8, tower 64-32-16-8) with the metrics that it planned, and an analysis of its predictions.

As it was: the metrics that it asked for, among 99 sampled negatives. As it should have been: among all films that the user
has not seen, by a split in time, beside popularity and iALS; and where its hits are.
"""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path

import msgspec

from engram.source import find_source, open_stream
from engram.source_systems.left_out import NO_TORCH, batch_rows, best_first, online_rows
from engram.source_systems.registry import Asked
from engram.source_systems.tables import Cell, ResultTable
from engram.train_runs import Kept
from engram.train_time_split import train_time_split
from online_models.catalogue import ItemFacts
from producers.leave_one_out import leave_out_last

_NEUMF = ("neumf.model.factors=8",)
_ONLINE = ("popularity", "hebbian", "blend")
_RELEVANT = 4.0
_FIRST_EVENTS = 20_000  # of a small run


def run(asked: Asked) -> list[ResultTable]:
    """Measure both forms; see the module."""
    settings = msgspec.structs.replace(
        asked.settings, dataset="ml-100k", limit=_FIRST_EVENTS if asked.small else None, params=()
    )
    stream = open_stream(settings, find_source(settings).folder)
    columns = stream.block(0, stream.total_events)
    known = list(stream.items())
    facts = [ItemFacts(item.item, item.genres, item.year, item.language) for item in known]
    data = leave_out_last(columns, settings.seed)
    batch = ("popularity",) if asked.small else ("neumf", "ials")
    sampled = [
        *batch_rows(settings, data, known, batch, () if asked.small else _NEUMF),
        *online_rows(settings, data, facts, _ONLINE),
    ]
    tables = [
        ResultTable(
            "neumf-as-it-was",
            "As it was planned",
            (
                f"MovieLens 100K, each user's last film among 99 that the user never had (drawn by seed {settings.seed}), all ratings as positives: "
                f"{len(data.users):,} questions. Precision@10 is HR@10 / 10, for there is one film to be found. Figures among all films stand "
                "beside them: sampled ones flatter, and may order models otherwise. Epochs are chosen on each user's last film of "
                "training. MovieLens 1M, which it was written for, is in docs/batch.md.",
            ),
            best_first(sampled, "NDCG@10 of 100"),
        )
    ]
    if importlib.util.find_spec("torch") is None:
        note: dict[str, Cell] = {"model": f"neumf: {NO_TORCH}"}
        return [*tables, ResultTable("neumf", "As it should have been", (), (note,))]
    models = ("popularity",) if asked.small else ("neumf", "ials", "popularity")
    from batch_models.content_features import ContentConfig

    with tempfile.TemporaryDirectory() as folder:
        result = train_time_split(
            models,
            () if asked.small else _NEUMF,
            columns,
            known,
            ContentConfig(),
            _RELEVANT,
            (settings.seed,),
            "cpu",
            1,
            lambda _m, _p, _s, _e: None,
            lambda _: None,
            Kept(Path(folder)),
        )
    runs = {name: run for name, [run] in result["models"].items()}
    figures: list[dict[str, Cell]] = [
        {
            "model": name,
            **{
                key: one["figures"][key]
                for key in ("hr@10", "precision@10", "recall@10", "ndcg@10", "mrr@10")
            },
        }
        for name, one in runs.items()
    ]
    by_band: list[dict[str, Cell]] = [
        {
            "model": name,
            "of": f"{what} with {band} events in training",
            "how many": int(found["users" if what == "users" else "pairs"]),
            "NDCG@10 (users), found in 10 (pairs)": found["ndcg@10" if what == "users" else "found@10"],
        }
        for name, one in runs.items()
        for what, bands in (("users", one["by_user_band"]), ("films' relevant pairs", one["by_item_band"]))
        for band, found in bands.items()
    ]
    return [
        *tables,
        ResultTable(
            "neumf",
            "As it should have been",
            (
                f"The newest fifth of MovieLens 100K is asked about: films rated 4 or better, among all that the user has not had. "
                f"{result['users']:,} users, {result['users_without_training']:,} of whom have no event before the cut.",
            ),
            tuple(sorted(figures, key=lambda row: -float(row["ndcg@10"] or 0))),
        ),
        ResultTable("neumf-predictions", "Analysis of its predictions", (), tuple(by_band)),
    ]
