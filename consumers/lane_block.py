"""From what a lane's models said, section by section, to one block of the predictions topic."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from consumers.predictions import Drift, PredictionBlock, TopItems, TopLists
from evaluation.top_lists import LIST_LENGTH
from eventlog.events import EventBatch
from online_models.interactions import Interactions, Predictions
from online_models.model import Model

_NO_LISTS: Final = TopItems(
    np.zeros((0, LIST_LENGTH), np.uint64),
    np.zeros((0, LIST_LENGTH), np.int32),
    np.zeros((0, LIST_LENGTH), np.uint64),
)


class Said(NamedTuple):
    """What was said of one section of a block.

    user_hash: uint32[n]. noted: int32[s], places of the section at which lists were noted; top: {ranking model: s
    lists}. drifts: noticed at the end of one of its events.
    """

    interactions: Interactions
    predictions: dict[str, Predictions]
    user_hash: NDArray[np.uint32]
    noted: NDArray[np.int32]
    top: dict[str, list[TopItems]]
    drifts: tuple[Drift, ...] = ()


class Whole(NamedTuple):
    """What all sections have in common; see `PredictionBlock`. top_every: events between lists, 0 for none."""

    lane: int
    first_seq: int
    total_events: int | None
    scale: tuple[float, float]
    top_every: int
    inherited: int


def join_said(
    said: Sequence[Said], events: EventBatch, models: Mapping[str, Model], whole: Whole
) -> PredictionBlock:
    """Put consecutive sections, at least one, into one block; events: those that the sections are of."""

    def joined(columns: Iterable[NDArray[Any]]) -> NDArray[Any]:
        return np.concatenate(list(columns)) if len(said) > 1 else next(iter(columns))

    def of_models(column: str, able: Callable[[Model], bool]) -> dict[str, NDArray[Any]]:
        return {
            name: joined(getattr(one.predictions[name], column) for one in said)
            for name, model in models.items()
            if able(model)
        }

    ranking = [name for name, model in models.items() if model.ranks]
    return PredictionBlock(
        lane=whole.lane,
        first_seq=whole.first_seq,
        inherited=whole.inherited,
        total_events=whole.total_events,
        sources=events.sources,
        source_index=events.source_index,
        source_seq=events.source_seq,
        event_time_ms=events.event_time_ms,
        flags=joined(one.interactions.flags for one in said),
        ranks=of_models("ranks", lambda model: model.ranks),
        rating=joined(one.interactions.rating for one in said),
        scale=whole.scale,
        predicted=of_models("ratings", lambda model: model.rates),
        user_seen=joined(one.interactions.seen for one in said),
        item_seen=joined(one.interactions.item_seen for one in said),
        user_hash=joined(one.user_hash for one in said),
        liked=of_models("likes", lambda model: model.likes),
        cold=of_models("cold", lambda model: model.ranks_cold),
        top=_top_lists(said, ranking, whole.top_every) if whole.top_every else None,
        drifts=tuple(drift for one in said for drift in one.drifts),
    )


def _top_lists(said: Sequence[Said], models: Sequence[str], top_every: int) -> TopLists:
    """The lists of all sections."""
    starts = np.cumsum([0, *(len(one.user_hash) for one in said[:-1])])
    noted = np.concatenate([one.noted + start for one, start in zip(said, starts, strict=True)])
    lists = {}
    for name in models:
        of_model = [one for part in said for one in part.top[name]]
        lists[name] = TopItems._make(
            np.stack([one[field] for one in of_model]) if of_model else empty
            for field, empty in enumerate(_NO_LISTS)
        )
    return TopLists(noted.astype(np.int32), top_every, lists)
