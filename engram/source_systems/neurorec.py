"""Source system 1: users as neurons on MovieLens 100K, +1 for each item two of them have both had, no decay.

As it was: how the network grows; it scores nothing and measures nothing. As it should have been: the same rule scored,
test then learn, beside popularity and our models. `engram graph` draws its pictures on real events (docs/graphs.md).
"""

from __future__ import annotations

import sys

import msgspec
import numpy as np

from engram.compare_peers import ask_peer, measure_ranks, stream_task
from engram.inline import run_inline
from engram.source import find_source, open_stream
from engram.source_systems.registry import Asked
from engram.source_systems.tables import Cell, ResultTable
from peers.files import RANK_EVENTS, Task

_MODELS = ("popularity", "decayed_popularity", "user_hebbian", "hebbian", "blend")
_STEPS = (1_000, 5_000, 10_000, 25_000, 50_000, 100_000)
_SMALL = 3_000


def _growth(task: Task) -> tuple[dict[str, Cell], ...]:
    """The network after so many events."""
    weights = np.zeros((task.users, task.users), np.int32)
    had = np.zeros((task.users, task.items), np.bool_)
    rows: list[dict[str, Cell]] = []
    for at, (user, item) in enumerate(zip(task.user.tolist(), task.item.tolist(), strict=True), 1):
        if not had[user, item]:
            others = had[:, item]
            weights[user, others] += 1
            weights[others, user] += 1
            had[user, item] = True
        if at in _STEPS or at == len(task.user):
            neurons = int(had.any(axis=1).sum())
            joined = weights[np.triu_indices(task.users, 1)]
            synapses = int((joined > 0).sum())
            pairs = neurons * (neurons - 1) / 2
            rows.append(
                {
                    "events": at,
                    "neurons": neurons,
                    "synapses": synapses,
                    "density": synapses / pairs if pairs else 0.0,
                    "mean weight": float(joined[joined > 0].mean()) if synapses else 0.0,
                    "strongest": int(joined.max()),
                }
            )
    return tuple(rows)


def run(asked: Asked) -> list[ResultTable]:
    """Measure both forms; see the module."""
    limit = _SMALL if asked.small else None
    settings = msgspec.structs.replace(
        asked.settings, dataset="ml-100k", models=_MODELS, params=(), limit=limit
    )
    source = find_source(settings)
    stream = open_stream(settings, source.folder)
    columns = stream.block(0, stream.total_events)
    task = stream_task(columns, [], RANK_EVENTS, (stream.rating_min, stream.rating_max), settings.seed)
    answer = ask_peer("neurorec", sys.executable, task, asked.folder)
    result = run_inline(settings, asked.folder)
    rows: list[dict[str, Cell]] = []
    for name, model in result["models"].items():
        figures = model["last_70"]
        beyond = (model["beyond"] or {}).get("last_70") or {}
        ours = name not in {"popularity", "decayed_popularity"}
        rows.append(
            {
                "model": f"Engram: {name}" if ours else name,
                "Recall@10": figures["recall@10"],
                "NDCG@10": figures["ndcg@10"],
                "MRR@10": figures["mrr@10"],
                "coverage@20": beyond.get("coverage@20"),
                "ev/s": model["events_per_second"],
                "KiB": model["state_bytes"] / 1024,
            }
        )
    own = measure_ranks(task, answer.said) or {}
    rows.append(
        {
            "model": "its rule, scored: sum of the user's synapses",
            "Recall@10": own.get("recall@10"),
            "NDCG@10": own.get("ndcg@10"),
            "MRR@10": own.get("mrr@10"),
            "coverage@20": None,
            "ev/s": len(task.user) / answer.seconds,
            "KiB": answer.state_bytes / 1024,
        }
    )
    rows.sort(key=lambda row: -float(row["Recall@10"] or 0))
    return [
        ResultTable(
            "neurorec-as-it-was",
            "As it was",
            (
                "All ratings of MovieLens 100K in the order of time; a synapse is +1 for each film that two users have both rated, and never "
                "fades. It has no scores, so there is nothing to measure but the network: almost everybody is soon joined to "
                "everybody.",
            ),
            _growth(task),
        ),
        ResultTable(
            "neurorec",
            "As it should have been",
            (
                "Protocol P: each event is ranked among all films seen so far less the user's own, then learned; the last 70 % of events, equal "
                "scores against the model. The rule's score of a film is the sum of the user's synapses to those who have rated it. "
                "user_hebbian has the same neurons, with a memory that fades and normalised activity.",
            ),
            tuple(rows),
        ),
    ]
