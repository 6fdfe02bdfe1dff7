"""RecBole and our models, leave one out (protocol L), on the same training and the same questions."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engram.compare_peers import ask_peer
from engram.compare_ranks import rows_in_order
from engram.leave_one_out import item_facts, item_metadata
from engram.source_systems.left_out import batch_rows, best_first, first_asked, online_rows, plain_row
from engram.source_systems.registry import Asked
from engram.source_systems.tables import Cell, ResultTable
from evaluation.leave_one_out import above_among, above_among_all, leave_one_out_figures
from eventlog.errors import EngramError
from peers.catalogue import PEERS
from peers.files import LEAVE_ONE_OUT, Task
from producers.leave_one_out import LeaveOneOut, find_leave_one_out, read_leave_one_out

_ONLINE = ("popularity", "hebbian", "blend")
_NOTHING = np.zeros(0, np.uint8)


def _task(data: LeaveOneOut, seed: int) -> tuple[Task, np.ndarray, np.ndarray]:
    """The task, and rows of targets int64[q] and negatives int64[q, 99]."""
    train = data.train
    every, items = rows_in_order(np.concatenate([train.items, data.items, data.negatives.ravel()]))
    people, users = rows_in_order(np.concatenate([train.users, data.users]))
    n, q = train.size, len(data.users)
    task = Task(
        LEAVE_ONE_OUT,
        seed,
        users,
        items,
        people[:n],
        every[:n],
        np.full(n, np.nan),
        train.event_time_ms,
        np.zeros((0, 0), np.uint8),
        _NOTHING,
        people[n:],
    )
    return task, every[n : n + q], every[n + q :].reshape(q, -1)


def _ask(peer: str, asked: Asked, data: LeaveOneOut) -> dict[str, Cell]:
    entry = PEERS[peer]
    python = asked.pythons.get(entry.environment)
    if python is None:
        return plain_row(f"{peer}: not installed (python -m peers.install {entry.environment})", None, None)
    task, targets, negatives = _task(data, asked.settings.seed)
    folder = asked.folder / peer
    folder.mkdir(parents=True, exist_ok=True)
    try:
        answer = ask_peer(peer, python, task, folder)
    except EngramError as error:
        return plain_row(str(error), None, None)
    sampled, among_all = [], []
    order = np.argsort(task.user, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(task.user, minlength=task.users))])
    for at, user in enumerate(task.asked.tolist()):
        scores = answer.said[at].astype(np.float64)
        had = task.item[order[start[user] : start[user + 1]]]
        sampled.append(above_among(scores, int(targets[at]), negatives[at].astype(np.int32)))
        among_all.append(above_among_all(scores, int(targets[at]), had.astype(np.int32)))
    of_all = leave_one_out_figures(np.array(among_all, np.int64))
    epochs = f" ({answer.about['epochs']} epochs, of {answer.about['epochs_at_most']} at most)"
    row = plain_row(peer + epochs, *leave_one_out_figures(np.array(sampled, np.int64)).values())
    return row | {
        "HR@10 all items": of_all["hr@10"],
        "NDCG@10 all items": of_all["ndcg@10"],
        "train s": answer.seconds,
        "KiB": answer.state_bytes / 1024,
    }


def run(asked: Asked) -> list[ResultTable]:
    """Ask all of them; see the module."""
    data_dir = Path(asked.settings.data_dir) if asked.settings.data_dir else None
    folder = find_leave_one_out(data_dir)
    peers = [name for name, peer in PEERS.items() if peer.protocol == LEAVE_ONE_OUT]
    users = 50 if asked.small else PEERS[peers[0]].users
    data = first_asked(read_leave_one_out(folder), users)
    facts = item_facts(folder, data_dir)
    rows = [
        *(_ask(peer, asked, data) for peer in peers),
        *batch_rows(
            asked.settings,
            data,
            item_metadata(folder, data_dir),
            ("popularity",) if asked.small else ("neumf", "ials"),
        ),
        *online_rows(asked.settings, data, facts, _ONLINE),
    ]
    return [
        ResultTable(
            "leave-one-out",
            "Leave one out, the same questions",
            (
                f"The authors' test of He et al. (2017) for its first {len(data.users):,} users, who alone are learned from "
                f"({data.train.size:,} events): RecBole on a processor is too slow for all 6,040. Equal scores count against the model.",
                "RecBole has its default settings, early stopping on each user's last event of training, and so many epochs at most. Online models "
                "learn in one pass. train s is of one core; RecBole's is CPU time with reading and asking.",
            ),
            best_first(rows, "NDCG@10 of 100"),
        )
    ]
