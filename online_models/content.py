"""Content: items like those that the user had last, by genres, year, language and tags alone.

An item x has features f with values x_f: each of its g genres 1/g; its year, spread over the two nearest of years
`YEAR_STEP` apart, adding up to 1; its language 1. Groups are genres, years and languages. At an event of user u the
taste is read from the last L items y_0 (newest), y_1, ... of the user's history:

    t(f) = sum_k step_decay^k y_k,f        p(f | u) = (t(f) + prior b(f)) / (t(group of f) + prior)

b(f) is the share of f in its group over all events so far, with one event's worth spread evenly. The score is the
log-likelihood ratio of the item's features, as of naive Bayes:

    score(x) = sum over groups of weight * sum_f x_f log(p(f | u) / b(f))

What the tags say, those that were known before the event, comes on top of it: see `online_models/tag_taste.py`. There is no state of users: what a user takes back is out at once. Items that nobody has had are scored as any other,
so new items are ranked among the whole catalogue. An item of which nothing is known scores 0: no better, no worse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from online_models.catalogue import MAX_GENRES, Catalogue
from online_models.ids import grown
from online_models.interactions import (
    MISS,
    NEW_ITEM,
    NOT_RANKED,
    REPEAT,
    Histories,
    Interactions,
    Moment,
    Predictions,
)
from online_models.model import Model, ModelConfig, Situation
from online_models.parameter_ranges import check_range
from online_models.ranking import rank_among
from online_models.tag_taste import (
    TagScratch,
    add_tag_scores,
    clear_taste,
    move_to,
    read_taste,
    tag_scratch,
)
from online_models.timed_tags import Tags

FIRST_YEAR, YEAR_STEP, YEARS = 1900, 5, 28  # 1900, 1905, ... 2035; what lies outside counts as the nearest
YEAR_SPAN = YEAR_STEP * (YEARS - 1) + 1
LANGUAGES = 32  # those with a higher number count as one
FEATURES = MAX_GENRES + YEARS + LANGUAGES
_GROUPS = ((0, MAX_GENRES), (MAX_GENRES, MAX_GENRES + YEARS), (MAX_GENRES + YEARS, FEATURES))


@dataclass(frozen=True)
class ContentConfig(ModelConfig):
    """See the module: trace_length is L; prior in items; a weight for each group, and for tags."""

    trace_length: int = 60
    step_decay: float = 0.95
    prior: float = 10.0
    genre_weight: float = 1.0
    year_weight: float = 1.0
    language_weight: float = 1.0
    tag_weight: float = 1.0

    def __post_init__(self) -> None:
        """Raise `ValueError` for a parameter out of range."""
        check_range(self, "trace_length", least=1)
        check_range(self, "step_decay", above=0, most=1)
        check_range(self, "prior", above=0)
        check_range(self, "genre_weight", "year_weight", "language_weight", "tag_weight", least=0)


class Rule(NamedTuple):
    """`ContentConfig` for the kernels, and the lane's rule of ties."""

    trace_length: int
    step_decay: float
    prior: float
    weights: tuple[float, float, float]
    tag_weight: float
    ties_against: bool


class Scratch(NamedTuple):
    """lift: float64[FEATURES], weight * log(p / b), and what it makes of a whole group.

    of_set: float64[sets], of a set of genres. of_year: float64[1 + YEAR_SPAN], of a year, counted from FIRST_YEAR - 1.
    of_language: float64[1 + LANGUAGES]. Place 0 is 0, for what is unknown. scores: float64[items or entries].
    """

    lift: NDArray[np.float64]
    of_set: NDArray[np.float64]
    of_year: NDArray[np.float64]
    of_language: NDArray[np.float64]
    scores: NDArray[np.float64]


@numba.njit(cache=True)
def _year_place(year: int) -> tuple[int, float]:
    """The lower of the two features of a year, and the share of the upper one."""
    place = min(max((year - FIRST_YEAR) / YEAR_STEP, 0.0), YEARS - 1.0)
    lower = min(int(place), YEARS - 2)
    return MAX_GENRES + lower, place - lower


@numba.njit(cache=True)
def add_features(catalogue: Catalogue, entry: int, amount: float, out: NDArray[np.float64]) -> None:
    """out[f] += amount * x_f for the item of `entry`."""
    mask, count = catalogue.genres[entry], 0
    left = mask
    while left:
        left &= left - np.uint64(1)
        count += 1
    genre = 0
    while mask:
        if mask & np.uint64(1):
            out[genre] += amount / count
        mask >>= np.uint64(1)
        genre += 1
    if catalogue.year[entry] > 0:
        lower, share = _year_place(catalogue.year[entry])
        out[lower] += amount * (1.0 - share)
        out[lower + 1] += amount * share
    if catalogue.language[entry] > 0:
        out[MAX_GENRES + YEARS + min(catalogue.language[entry], LANGUAGES) - 1] += amount


@numba.njit(cache=True)
def _lifts(
    catalogue: Catalogue, trace: NDArray[np.int32], base: NDArray[np.float64], rule: Rule, scratch: Scratch
) -> None:
    """Fill all of scratch but the scores for a user whose last items are `trace` (int32, oldest first)."""
    lift = scratch.lift
    lift[:] = 0.0
    gain = 1.0
    for k in range(len(trace)):
        add_features(catalogue, catalogue.entry[trace[len(trace) - 1 - k]], gain, lift)
        gain *= rule.step_decay
    for group in range(3):
        first, last = _GROUPS[group]
        taste, total = 0.0, 0.0
        for f in range(first, last):
            taste += lift[f]
            total += base[f]
        for f in range(first, last):
            usual = (base[f] + 1.0 / (last - first)) / (total + 1.0)
            likely = (lift[f] + rule.prior * usual) / (taste + rule.prior)
            lift[f] = rule.weights[group] * np.log(likely / usual)
    for number in range(len(catalogue.genre_sets)):
        mask, total, count, genre = catalogue.genre_sets[number], 0.0, 0, 0
        while mask:
            if mask & np.uint64(1):
                total += lift[genre]
                count += 1
            mask >>= np.uint64(1)
            genre += 1
        scratch.of_set[number] = total / max(count, 1)
    for place in range(YEAR_SPAN):
        lower, share = _year_place(FIRST_YEAR + place)
        scratch.of_year[place + 1] = lift[lower] * (1.0 - share) + lift[lower + 1] * share
    for number in range(LANGUAGES):
        scratch.of_language[number + 1] = lift[MAX_GENRES + YEARS + number]


@numba.njit(cache=True)
def _score_entries(catalogue: Catalogue, entries: NDArray[np.int32], scratch: Scratch) -> None:
    """scratch.scores[i] = score of entries[i] (int32[n]), from what `_lifts` filled."""
    # Single arrays in the loop: a tuple of arrays that is passed on costs more than the sum itself.
    genre_set, year, language = catalogue.genre_set, catalogue.year, catalogue.language
    of_set, of_year, of_language, scores = (
        scratch.of_set,
        scratch.of_year,
        scratch.of_language,
        scratch.scores,
    )
    for i in range(len(entries)):
        entry = entries[i]
        place = min(max(year[entry] - FIRST_YEAR, 0) + 1, YEAR_SPAN) if year[entry] > 0 else 0
        scores[i] = of_set[genre_set[entry]] + of_year[place] + of_language[min(language[entry], LANGUAGES)]


@numba.njit(cache=True)
def _tag_taste(
    catalogue: Catalogue, trace: NDArray[np.int32], time_ms: int, rule: Rule, of_tags: TagScratch
) -> int:
    """Read the tags of a user's last items `trace` as known at `time_ms`; returns how many there are."""
    if move_to(catalogue.tags, of_tags, time_ms) == 0:
        return 0
    numbers = (rule.step_decay, rule.prior, rule.tag_weight)
    return read_taste(catalogue.tags, catalogue.entry, trace, numbers, of_tags)


@numba.njit(cache=True)
def _cold_rank(
    catalogue: Catalogue,
    target: int,
    had: NDArray[np.int32],
    met: int,
    rule: Rule,
    scratch: Scratch,
    of_tags: TagScratch,
) -> int:
    """Rank of the entry `target` (>= 1) among all entries less those of the items `had`; met: what `_tag_taste` said."""
    scores, above = scratch.scores, 0
    entries = np.arange(len(catalogue.genres), dtype=np.int32)
    _score_entries(catalogue, entries, scratch)
    if met:
        add_tag_scores(catalogue.tags, entries, met, of_tags, scores[: len(entries)])
    own = scores[target]
    for entry in range(1, len(catalogue.genres)):
        above += scores[entry] >= own if rule.ties_against else scores[entry] > own
    for item in had:
        entry = catalogue.entry[item]
        if entry > 0:
            above -= scores[entry] >= own if rule.ties_against else scores[entry] > own
    return above if rule.ties_against else above + 1


@numba.njit(cache=True)
def _test_then_learn(
    events: Interactions,
    histories: Histories,
    base: NDArray[np.float64],
    rule: Rule,
    scratch: Scratch,
    of_tags: TagScratch,
    ranks: NDArray[np.int32],
    cold: NDArray[np.int32],
) -> None:
    """base: float64[FEATURES], sums of features over all events."""
    catalogue = histories.catalogue
    tagged = rule.tag_weight > 0.0 and len(catalogue.tags.time_ms) > 0
    for i in range(len(events.user)):
        if events.flags[i] & REPEAT:
            ranks[i] = NOT_RANKED
            continue
        target = events.item[i]
        start = histories.start[events.user[i]]
        had = histories.items[start : start + events.seen[i]]
        trace = had[max(len(had) - rule.trace_length, 0) :]
        _lifts(catalogue, trace, base, rule, scratch)
        met = _tag_taste(catalogue, trace, events.time_ms[i], rule, of_tags) if tagged else 0
        if events.flags[i] & NEW_ITEM:
            ranks[i] = MISS
            if catalogue.entry[target] > 0:
                cold[i] = _cold_rank(catalogue, catalogue.entry[target], had, met, rule, scratch, of_tags)
        else:
            _score_entries(catalogue, catalogue.entry[: events.items[i]], scratch)
            if met:
                scores = scratch.scores[: events.items[i]]
                add_tag_scores(catalogue.tags, catalogue.row, met, of_tags, scores)
            ranks[i] = rank_among(scratch.scores, events.items[i], target, had, rule.ties_against)
        if met:
            clear_taste(met, of_tags)
        add_features(catalogue, catalogue.entry[target], 1.0, base)


class Content(Model):
    """Items like those that the user had last, by what is known of them."""

    name: ClassVar[str] = "content"
    ranks_cold: ClassVar[bool] = True
    config_type: ClassVar[type[ModelConfig]] = ContentConfig
    config: ContentConfig

    def __init__(self, config: ModelConfig | None = None, situation: Situation | None = None) -> None:
        super().__init__(config, situation)
        self._base = np.zeros(FEATURES)
        self._scores = np.zeros(256)
        # How far the tags are known is kept only to be moved along: at each event it follows from the event's time.
        self._tags: Tags | None = None
        self._of_tags: TagScratch

    @property
    def _rule(self) -> Rule:
        config = self.config
        weights = (float(config.genre_weight), float(config.year_weight), float(config.language_weight))
        ties_against = self.situation.ties_against
        return Rule(
            trace_length=config.trace_length,
            step_decay=float(config.step_decay),
            prior=float(config.prior),
            weights=weights,
            tag_weight=float(config.tag_weight),
            ties_against=ties_against,
        )

    def _scratch(self, catalogue: Catalogue, items: int) -> Scratch:
        self._scores = grown(self._scores, max(items, len(catalogue.genres)))
        if self._tags is not catalogue.tags:
            self._tags, self._of_tags = catalogue.tags, tag_scratch(catalogue.tags)
        return Scratch(
            lift=np.zeros(FEATURES),
            of_set=np.zeros(len(catalogue.genre_sets)),
            of_year=np.zeros(1 + YEAR_SPAN),
            of_language=np.zeros(1 + LANGUAGES),
            scores=self._scores,
        )

    def test_then_learn(self, events: Interactions, histories: Histories, out: Predictions) -> None:
        """See `Model.test_then_learn`."""
        if not len(events.user):
            return
        scratch = self._scratch(histories.catalogue, int(events.item.max()) + 1)
        _test_then_learn(
            events, histories, self._base, self._rule, scratch, self._of_tags, out.ranks, out.cold
        )

    def scores(self, user: int, histories: Histories, moment: Moment) -> NDArray[np.float64]:
        """See `Model.scores`: log-likelihood ratio of what is known of the item."""
        scratch = self._scratch(histories.catalogue, moment.items)
        seen = int(histories.length[user]) if user >= 0 else 0
        end = (int(histories.start[user]) if user >= 0 else 0) + seen
        trace = histories.items[end - min(seen, self.config.trace_length) : end]
        catalogue, rule = histories.catalogue, self._rule
        _lifts(catalogue, trace, self._base, rule, scratch)
        _score_entries(catalogue, catalogue.entry[: moment.items], scratch)
        scores, of_tags = scratch.scores[: moment.items], self._of_tags
        if rule.tag_weight > 0.0:
            met = _tag_taste(catalogue, trace, moment.time_ms, rule, of_tags)
            add_tag_scores(catalogue.tags, catalogue.row, met, of_tags, scores)
            clear_taste(met, of_tags)
        return scores.copy()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """base: float64[FEATURES], sums of features over all events."""
        return {"base": self._base}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """See `Model.restore`."""
        self._base = arrays["base"].copy()
