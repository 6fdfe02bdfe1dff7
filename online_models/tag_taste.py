"""What a user's last items say of tags, and what tags then say of every item.

Known at an event is a tag that was given *before* the event's own time, be the event late or not: one of the same
moment may be a part of the event itself. With y_0 (newest), y_1, ... the user's last L items, x_f the share of tag f
among the known tags of an item, and b(f) its share among all known tags,

    t(f) = sum_k step_decay^k y_k,f        p(f | u) = (t(f) + prior b(f)) / (sum of t + prior)
    score(x) = weight * sum over f with t(f) > 0 of x_f log(p(f | u) / b(f))

This is the language model with Dirichlet smoothing of Zhai & Lafferty (2004), "A Study of Smoothing Methods for
Language Models Applied to Information Retrieval". Tags are never complete: unlike a genre, one that none of the user's
items has been given says nothing of an item.

There is no state: all of it follows from the moment. The cost of an event grows with the tags of its user's items, and
with the items that share them, not with the catalogue.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.timed_tags import Tags


class TagScratch(NamedTuple):
    """How far the tags are known, and what a user's tags say.

    known: int64[1], how many tags are known; of_entry: int32[entries] and of_token: int32[tokens], how many of each.
    lift: float64[tokens], weight * log(p / b), zero for all tokens but those in met (int32[tokens]), in order of their
    first place in the trace.
    """

    known: NDArray[np.int64]
    of_entry: NDArray[np.int32]
    of_token: NDArray[np.int32]
    lift: NDArray[np.float64]
    met: NDArray[np.int32]


def tag_scratch(tags: Tags) -> TagScratch:
    """Scratch for `tags`, before the first of them."""
    tokens = len(tags.token_start) - 1
    return TagScratch(
        known=np.zeros(1, np.int64),
        of_entry=np.zeros(len(tags.entry_start) - 1, np.int32),
        of_token=np.zeros(tokens, np.int32),
        lift=np.zeros(tokens),
        met=np.zeros(tokens, np.int32),
    )


@numba.njit(cache=True)
def move_to(tags: Tags, scratch: TagScratch, time_ms: int) -> int:
    """Know the tags before `time_ms`, and no others, wherever scratch stood; returns how many these are."""
    known = int(scratch.known[0])
    while known < len(tags.time_ms) and tags.time_ms[known] < time_ms:
        scratch.of_entry[tags.entry[known]] += 1
        scratch.of_token[tags.token[known]] += 1
        known += 1
    while known > 0 and tags.time_ms[known - 1] >= time_ms:
        known -= 1
        scratch.of_entry[tags.entry[known]] -= 1
        scratch.of_token[tags.token[known]] -= 1
    scratch.known[0] = known
    return known


@numba.njit(cache=True)
def read_taste(
    tags: Tags,
    entry_of: NDArray[np.int32],
    trace: NDArray[np.int32],
    numbers: tuple[float, float, float],
    scratch: TagScratch,
) -> int:
    """Fill scratch.lift for a user whose last items are `trace` (int32 rows, oldest first); returns how many tags it met.

    entry_of: int32[items]. numbers: step_decay, prior, weight.
    """
    step_decay, prior, weight = numbers
    lift, met = scratch.lift, scratch.met
    count, gain, taste = 0, 1.0, 0.0
    for k in range(len(trace)):
        entry = entry_of[trace[len(trace) - 1 - k]]
        known = scratch.of_entry[entry]
        share = gain / max(known, 1)
        first = tags.entry_start[entry]
        for place in range(first, first + known if share > 0.0 else first):
            token = tags.of_entry[place]
            if lift[token] == 0.0:
                met[count] = token
                count += 1
            lift[token] += share
            taste += share
        gain *= step_decay
    for at in range(count):
        token = met[at]
        usual = scratch.of_token[token] / scratch.known[0]
        lift[token] = weight * np.log((lift[token] + prior * usual) / (taste + prior) / usual)
    return count


@numba.njit(cache=True)
def add_tag_scores(
    tags: Tags, place_of: NDArray[np.int32], count: int, scratch: TagScratch, scores: NDArray[np.float64]
) -> None:
    """scores[place_of[e]] += what the `count` tags of the taste say of entry e; places beyond scores are left out.

    place_of: int32[entries], -1 for none.
    """
    lift, of_entry, of_token, entries = scratch.lift, scratch.of_entry, scratch.of_token, tags.of_token
    for at in range(count):
        token = scratch.met[at]
        first = tags.token_start[token]
        for place in range(first, first + of_token[token]):
            entry = entries[place]
            if 0 <= place_of[entry] < len(scores):
                scores[place_of[entry]] += lift[token] / of_entry[entry]


@numba.njit(cache=True)
def clear_taste(count: int, scratch: TagScratch) -> None:
    """Zero lift again."""
    for at in range(count):
        scratch.lift[scratch.met[at]] = 0.0
