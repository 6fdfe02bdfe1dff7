"""The leave-one-out protocol: one pass of online models over training, then one question a user."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from consumers.lane import Lane
from consumers.lane_config import described
from consumers.versions import versions
from engram.lane_events import events_of
from engram.parts import lane_config
from engram.settings import Settings
from engram.warm import warm_up_learner
from evaluation.leave_one_out import above_among, above_among_all, leave_one_out_figures
from eventlog.errors import SettingsError
from eventlog.events import Kind
from eventlog.metadata import ItemMetadata
from online_models.catalogue import ItemFacts
from online_models.ids import ABSENT
from online_models.interactions import Moment
from online_models.registry import MODELS
from producers.datasets import DATASETS
from producers.leave_one_out import LeaveOneOut, read_item_map
from producers.sources import locate_dataset

SCHEMA_VERSION: Final = 1
_BLOCK: Final = 4096

Progress = Callable[[str, int, int], None]


def check_models(names: Iterable[str]) -> None:
    """Raise `SettingsError` for a model that does not rank."""
    for name in names:
        if name in MODELS and not MODELS[name].ranks:
            raise SettingsError(f"model is {name!r}, expected one that ranks: it predicts ratings only")


def item_metadata(folder: Path, data_dir: Path | None) -> list[ItemMetadata]:
    """What is known of the items: of MovieLens 1M's films, through the item map; nothing where either is absent.

    Raises `DataFormatError` for a malformed line.
    """
    items = read_item_map(folder)
    films = DATASETS["ml-1m"]
    located = locate_dataset(films, data_dir) if items else None
    if located is None:
        return []
    return [
        msgspec.structs.replace(film, item=items[film.item])
        for film in films.reader.items(located[0])
        if film.item in items
    ]


def item_facts(folder: Path, data_dir: Path | None) -> list[ItemFacts]:
    """The same, as online models take it."""
    return [
        ItemFacts(film.item, film.genres, film.year, film.language)
        for film in item_metadata(folder, data_dir)
    ]


def leave_one_out(
    settings: Settings, data: LeaveOneOut, facts: list[ItemFacts], progress: Progress
) -> dict[str, Any]:
    """Learn `data.train` in one pass, then ask each user's question; return the figures, JSON-able.

    A question is asked after all of training, at the event time of the user's own last training event.
    progress: told what is being done, how much of it is done, and how much there is.
    """
    config = lane_config(msgspec.structs.replace(settings, dataset="ml-1m", top_every=0))
    check_models(config.models)
    warm_up_learner(config, 1)
    nothing = np.zeros(0, np.int32)
    above_among(np.zeros(1), 0, nothing), above_among_all(np.zeros(1), 0, nothing)
    lane = Lane(0, (0,), 1, config)
    lane.rows.catalogue.add(facts, lane.rows.items)
    total = data.train.size
    for first in range(0, total, _BLOCK):
        lane.test_then_learn(
            events_of(data.train.take(slice(first, first + _BLOCK)), first, "leave-one-out", Kind.VIEW)
        )
        progress("learning", min(first + _BLOCK, total), total)
    questions = _Questions(lane, data)
    names = list(lane.models)
    models = {}
    for number, name in enumerate(names):
        started_s = time.monotonic()
        sampled, among_all = questions.ask(
            name,
            lambda done, number=number: progress(  # type: ignore[misc]
                "asking", number * len(data.users) + done, len(names) * len(data.users)
            ),
        )
        model = lane.models[name]
        seconds = lane.kernel_seconds[name]
        models[name] = {
            "sampled": leave_one_out_figures(sampled),
            "all_items": leave_one_out_figures(among_all),
            "learn_seconds": seconds,
            "events_per_second": total / seconds if seconds else None,
            "ask_seconds": time.monotonic() - started_s,
            "state_bytes": model.state_bytes,
            "digest": model.digest(),
            "config": described(model.config),
        }
    return {
        "schema_version": SCHEMA_VERSION,
        "protocol": "leave one out",
        "train_events": total,
        "users": len(data.users),
        "items": questions.items,
        "negatives": int(data.negatives.size),
        "negatives_equal_to_target": int((data.negatives == data.items[:, None]).sum()),
        "items_with_metadata": len(facts),
        "clock": lane.clock,
        "seed": settings.seed,
        "data_digest": data_digest(data),
        "versions": versions(),
        "models": models,
    }


def data_digest(data: LeaveOneOut) -> str:
    """sha256 of training in its order, and of the questions."""
    total = hashlib.sha256()
    train = data.train
    for ids in (train.users, train.items, data.users, data.items, data.negatives):
        total.update(f"{ids.dtype.str}{ids.shape}".encode())
        total.update(np.ascontiguousarray(ids).data)
    total.update(np.ascontiguousarray(train.event_time_ms, "<i8").data)
    return total.hexdigest()


class _Questions:
    """The questions in rows of a lane that has learned; an item that it does not know scores below all others."""

    def __init__(self, lane: Lane, data: LeaveOneOut) -> None:
        self._lane = lane
        self._users = lane.rows.users.find_all(data.users)
        known = lane.rows.history.items
        asked = np.concatenate([data.items, data.negatives.ravel()])
        rows = lane.rows.items.find_all(asked)
        unknown = rows == ABSENT
        strangers, number = np.unique(asked[unknown], return_inverse=True)
        rows[unknown] = known + number
        self._targets = rows[: len(data.items)]
        self._negatives = rows[len(data.items) :].reshape(data.negatives.shape)
        self.items = known + len(strangers)

    def ask(self, name: str, asked: Callable[[int], None]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Of each question, how many items do not score below the target: of the negatives, and of all."""
        lane, model = self._lane, self._lane.models[name]
        histories, known = lane.rows.histories, lane.rows.history.items
        now = lane.learned if lane.config.clock == "event_count" else lane.clock_time_ms
        scores = np.full(self.items, -np.inf)
        sampled = np.empty(len(self._users), np.int64)
        among_all = np.empty(len(self._users), np.int64)
        for place, user in enumerate(self._users.tolist()):
            start, length = (
                (int(histories.start[user]), int(histories.length[user])) if user != ABSENT else (0, 0)
            )
            had = histories.items[start : start + length]
            time_ms = int(histories.times_ms[start + length - 1]) if length else lane.clock_time_ms
            scores[:known] = model.scores(user, histories, Moment(now, time_ms, known))
            target = int(self._targets[place])
            sampled[place] = above_among(scores, target, self._negatives[place])
            among_all[place] = above_among_all(scores, target, had)
            asked(place + 1)
        return sampled, among_all
