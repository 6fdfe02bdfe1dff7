"""Recommendations from a learner's checkpoint: one model and the rows of one lane, and the questions asked of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from consumers.checkpoint import Checkpoint
from consumers.lane_rows import LaneRows, under
from engram.compare_cells import FLOORS
from engram.graph_source import lane_config_of, lanes_in, load_checkpoint_of
from eventlog.errors import SettingsError
from online_models.ids import ABSENT
from online_models.interactions import Moment
from online_models.model import Model
from online_models.recommend import Order, Query, filters_of, recommend
from online_models.registry import MODELS


class Reader(NamedTuple):
    """A lane's state as far as it is needed. now: the clock, in its ticks; time_ms: its event time."""

    lane: int
    model: Model
    rows: LaneRows
    events: int
    now: int
    time_ms: int


class Item(NamedTuple):
    """One item of a list. rank: its place by the model alone; nearest: greatest similarity to one before it, 0 to 1."""

    item: str
    score: float
    rank: int
    nearest: float
    year: int | None
    genres: tuple[str, ...]


class Answer(NamedTuple):
    """A list for a user, best first. known: whether the lane knows the user. events: that the model had learned."""

    user: str
    known: bool
    model: str
    lane: int
    events: int
    items: tuple[Item, ...]


def load_reader(
    folder: Path, user: str, *, lane: int | None = None, version: int | None = None, model: str | None = None
) -> Reader:
    """Load the lane that knows `user`, the first where none does, from a folder of checkpoints.

    lane, version: of the checkpoint; model: a ranking model of the run; the first that is more than popularity by default.
    Raises `SettingsError` where there is no such lane, version or model, and as `CheckpointStore.load` does.
    """
    lanes = lanes_in(folder) if lane is None else [lane]
    found: list[tuple[Checkpoint, LaneRows]] = []
    # At least once, for the error that names what is missing.
    for number in lanes or [0]:
        checkpoint = load_checkpoint_of(folder, number, version)
        rows = _rows(checkpoint)
        if rows.users.find(user) != ABSENT:
            return _reader(checkpoint, rows, model)
        found = found or [(checkpoint, rows)]
    return _reader(*found[0], model)


def _rows(checkpoint: Checkpoint) -> LaneRows:
    lane = checkpoint.meta["lane"]
    rows = LaneRows(lane["config"]["max_users"], lane["config"]["max_items"])
    rows.restore(checkpoint.arrays, lane["rows"])
    return rows


def _reader(checkpoint: Checkpoint, rows: LaneRows, model: str | None) -> Reader:
    lane = checkpoint.meta["lane"]
    learned: list[str] = list(lane["config"]["models"])
    ranking = [name for name in learned if name in MODELS and MODELS[name].ranks]
    if not ranking or (model is not None and model not in ranking):
        raise SettingsError(
            f"model is {model!r}, expected one of the run that ranks: {', '.join(ranking) or 'it has none'}"
        )
    own = [name for name in ranking if name not in FLOORS]
    config = lane_config_of(checkpoint.meta, model or (own or ranking)[0])
    [built] = config.build().values()
    built.restore(under(f"model/{built.name}/", checkpoint.arrays))
    events = lane["learned"] + lane.get("inherited", 0)
    now = events if config.clock == "event_count" else lane["clock_time_ms"]
    return Reader(lane["lane"], built, rows, events, now, lane["clock_time_ms"])


def answer(
    reader: Reader,
    user: str,
    *,
    k: int = 10,
    candidates: int = 100,
    order: Order | None = None,
    genres: Sequence[str] = (),
    years: tuple[int | None, int | None] = (None, None),
    without: Sequence[str] = (),
    include_seen: bool = False,
    at_last_event: bool = False,
) -> Answer:
    """Return a list for `user`; see `online_models.recommend`.

    genres: names, of which an item must have one. years: from and to. without: ids of items to leave out.
    at_last_event: ask at the event time of the user's last event instead of the lane's newest.
    Raises `SettingsError` for a genre or an item that is not known, and for a parameter out of range.
    """
    rows, catalogue = reader.rows, reader.rows.catalogue
    row = rows.users.find(user)
    histories = rows.histories
    barred = [rows.items.find(item) for item in without]
    for item, found in zip(without, barred, strict=True):
        if found == ABSENT:
            raise SettingsError(
                f"without is {item!r}, expected the id of one of the {len(rows.items):,} items seen"
            )
    time_ms = reader.time_ms
    if at_last_event and row != ABSENT and histories.length[row]:
        time_ms = int(histories.times_ms[histories.start[row] + histories.length[row] - 1])
    try:
        query = Query(
            k, candidates, filters_of(catalogue.genres, genres, *years), order or Order(), include_seen
        )
    except ValueError as error:
        raise SettingsError(str(error)) from None
    moment = Moment(reader.now, time_ms, rows.history.items)
    ordered = recommend(reader.model, row, histories, moment, query, np.array(barred, np.int32))
    items = []
    for at, item in enumerate(ordered.items.tolist()):
        entry = catalogue.view.entry[item]
        mask, year = int(catalogue.view.genres[entry]), int(catalogue.view.year[entry])
        named = tuple(genre for bit, genre in enumerate(catalogue.genres) if mask >> bit & 1)
        items.append(
            Item(
                rows.items.id_of(item),
                float(ordered.scores[at]),
                int(ordered.ranks[at]),
                float(ordered.nearest[at]),
                year or None,
                named,
            )
        )
    return Answer(user, row != ABSENT, reader.model.name, reader.lane, reader.events, tuple(items))
