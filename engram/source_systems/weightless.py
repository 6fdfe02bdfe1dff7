"""Source system 5: a weightless network a user, on The Movies Dataset; right is who is within one star.

As it was: each user's reviews and their split drawn at random, and films joined by the wrong id, so that the bits are
another film's. As it should have been: films joined by `tmdbId`, each user's first N reviews in time, the last fifth of
them tested. In both a guess of four stars and other baselines stand beside the models.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from consumers.lane import Lane
from consumers.lane_config import LaneConfig
from engram.lane_events import events_of
from engram.source import find_source
from engram.source_systems.levels import (
    LEVELS,
    OWN,
    WITHIN,
    distribution,
    fit_weights,
    likeliest,
    no_counts,
    read_events,
)
from engram.source_systems.movies_data import Joined, Movies, read_movies
from engram.source_systems.registry import Asked
from engram.source_systems.tables import Cell, ResultTable
from eventlog.events import Kind
from online_models.interactions import Moment
from producers.columns import RatingColumns

REVIEWS: Final = (5, 10, 25, 100, 200)
USERS: Final = 250
ROUNDS: Final = 5
_TESTED: Final = 5  # one in so many
_OURS: Final = ("rating_synapses", "wisard")
_SCALE: Final = (0.5, 5.0)
_NOBODY: Final = b"nobody"
# Accuracy by reviews, as published; its README's tables.
_PUBLISHED: Final = {
    "weightless network a user (published)": (0.736, 0.761, 0.773, 0.778, 0.770),
    "collaborative network (published)": (0.731, 0.799, 0.848, 0.863, 0.842),
}
_VOTES: Final = (6, 8)  # kinds of evidence that hold what the public said later


class Round(NamedTuple):
    """One draw: rows of `Movies` to learn, in order of time, and to be asked about. users: of each, 0 ... many - 1."""

    train: NDArray[np.int64]
    test: NDArray[np.int64]
    user_of: NDArray[np.int64]
    users: int


class Guess(NamedTuple):
    """rating: float64[tests]. seconds: CPU time of learning and asking. state_bytes: what was learned."""

    rating: NDArray[np.float64]
    seconds: float
    state_bytes: int


def draw(movies: Movies, reviews: int, number: int, users: int, *, by_time: bool) -> Round:
    """Draw users who have `reviews`, and choose what is learned and what is asked about."""
    counts = np.bincount(movies.user)
    random = np.random.default_rng((number, reviews))
    able = np.flatnonzero(counts >= reviews)
    chosen = np.sort(random.choice(able, min(users, len(able)), replace=False))
    start = np.cumsum(counts) - counts
    tested = max(1, reviews // _TESTED)
    train, test = [], []
    for user in chosen.tolist():
        rows = start[user] + np.arange(counts[user])
        rows = rows[:reviews] if by_time else random.choice(rows, reviews, replace=False)
        train.append(rows[:-tested])
        test.append(rows[-tested:])
    learned = np.concatenate(train)
    learned = learned[np.lexsort((learned, movies.time_ms[learned]))]
    user_of = np.full(len(counts), -1)
    user_of[chosen] = np.arange(len(chosen))
    return Round(learned, np.concatenate(test), user_of, len(chosen))


def _constant(movies: Movies, of: Round) -> NDArray[np.float64]:
    del movies
    return np.full(len(of.test), 4.0)


def _user_mean(movies: Movies, of: Round) -> NDArray[np.float64]:
    own = of.user_of[movies.user]
    sums = np.bincount(own[of.train], weights=movies.rating[of.train], minlength=of.users)
    counts = np.bincount(own[of.train], minlength=of.users)
    return (sums / counts)[own[of.test]]


def _user_window(movies: Movies, of: Round) -> NDArray[np.float64]:
    """The guess that would have been right most often so far for the user, with three events of the crowd beside."""
    own, level = of.user_of[movies.user], np.rint(2 * movies.rating).astype(int) - 1
    counts = np.zeros((of.users, len(LEVELS)))
    np.add.at(counts, (own[of.train], level[of.train]), 1.0)
    crowd = counts.sum(0) / counts.sum()
    return likeliest(counts + 3.0 * crowd)[own[of.test]]


def _nearest(movies: Movies, of: Round, joined: Joined) -> Guess:
    """A weightless network a user as the source's: neurons that look the nearest known input up (Hamming distance)."""
    started = time.process_time()
    own, bits = of.user_of[movies.user], joined.bits
    guess = np.empty(len(of.test))
    by_user = np.argsort(own[of.train], kind="stable")
    mine = np.split(of.train[by_user], np.cumsum(np.bincount(own[of.train], minlength=of.users))[:-1])
    for at, row in enumerate(of.test.tolist()):
        known = mine[own[row]]
        far = np.abs(bits[movies.film[known]] - bits[movies.film[row]]).sum(1)
        near = movies.rating[known][far == far.min()]
        # Ten outputs, a thermometer; each fires where half of what was looked up does.
        guess[at] = 0.5 * ((near[:, None] >= LEVELS).mean(0) >= 0.5).sum()
    return Guess(guess, time.process_time() - started, len(of.train) * (bits.shape[1] + len(LEVELS)) // 8)


def _expected(
    movies: Movies, of: Round, joined: Joined, model: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], float, int]:
    """What one of our models expects of each training event before it, and of each test; CPU seconds, bytes."""
    lane = Lane(0, (0,), 1, LaneConfig((model,), {}, scale=_SCALE, top_every=0, drift="none"))
    films = np.unique(movies.film[np.concatenate([of.train, of.test])])
    wanted = {item.decode() for item in movies.ids[films].tolist()}
    lane.rows.catalogue.add([fact for fact in joined.facts if fact.item in wanted], lane.rows.items)
    # So that films have rows before anybody has rated them.
    seen = RatingColumns(
        np.full(len(films), _NOBODY),
        movies.ids[films],
        np.full(len(films), np.nan),
        np.full(len(films), int(movies.time_ms[of.train].min()) - 1),
    )
    lane.test_then_learn(events_of(seen, 0, "films", Kind.VIEW))
    users = np.array([b"%d" % user for user in range(of.users)])
    own = of.user_of[movies.user]
    events = RatingColumns(
        users[own[of.train]],
        movies.ids[movies.film[of.train]],
        movies.rating[of.train],
        movies.time_ms[of.train],
    )
    started = time.process_time()
    block = lane.test_then_learn(events_of(events, 0, "reviews", Kind.RATING))
    learned = np.full(len(of.train), np.nan) if block is None else block.predicted[model]
    rows, items = lane.rows.users.find_all(users), lane.rows.items.find_all(movies.ids[movies.film[of.test]])
    asked = np.empty(len(of.test))
    for user in range(of.users):
        places = np.flatnonzero(own[of.test] == user)
        # Where the split is random, what is tested may lie before what was learned; a clock does not go back.
        learned_ms = int(movies.time_ms[of.train[own[of.train] == user]].max())
        now_ms = max(int(movies.time_ms[of.test[places]].min()), learned_ms)
        moment = Moment(lane.learned, now_ms, lane.rows.history.items)
        asked[places] = lane.models[model].scores(int(rows[user]), lane.rows.histories, moment)[items[places]]
    return learned, asked, time.process_time() - started, lane.models[model].state_bytes


def _ours(movies: Movies, of: Round, joined: Joined) -> dict[str, Guess]:
    """Our models: each with the crowd's levels beside its expectation, and all evidence together, the blend."""
    expected = {name: _expected(movies, of, joined, name) for name in _OURS}
    started = time.process_time()
    own = of.user_of[movies.user]
    evidence = {}
    counts = no_counts(of.users, joined.films)
    for learns, rows, side in ((True, of.train, 0), (False, of.test, 1)):
        others = np.stack([expected[name][side] for name in _OURS], axis=1)
        found = np.zeros((len(rows), len(LEVELS), OWN + len(_OURS)))
        read_events(
            counts, joined.films, own[rows], movies.film[rows], movies.rating[rows], others, found, learns
        )
        evidence[side] = found
    shared = time.process_time() - started
    everything = np.arange(OWN + len(_OURS))
    kinds = {
        "Engram: rating_synapses (Hebbian)": (np.array([0, 3, OWN]), _OURS[:1]),
        "Engram: wisard": (np.array([0, 3, OWN + 1]), _OURS[1:]),
        "Engram: blend": (everything, _OURS),
        "Engram: blend, without TMDB's votes": (np.setdiff1d(everything, _VOTES), _OURS),
    }
    guesses = {}
    for name, (used, models) in kinds.items():
        started = time.process_time()
        weights = fit_weights(evidence[0], movies.rating[of.train], used)
        rating = likeliest(distribution(evidence[1], weights))
        seconds = time.process_time() - started + shared + sum(expected[model][2] for model in models)
        guesses[name] = Guess(rating, seconds, counts.nbytes + sum(expected[model][3] for model in models))
    return guesses


def _nets(movies: Movies, of: Round, joined: Joined, seed: int) -> dict[str, Guess]:
    """The networks that it was compared with, where torch is installed."""
    if importlib.util.find_spec("torch") is None:
        return {}
    from batch_models.rating_nets import Examples, collaborative, per_user

    own = of.user_of[movies.user]
    train, test = (
        Examples(
            own[rows],
            movies.film[rows],
            joined.bits[movies.film[rows]],
            movies.rating[rows].astype(np.float32),
        )
        for rows in (of.train, of.test)
    )
    guesses = {}
    asks: dict[str, Callable[[], object]] = {
        "network a user (torch)": lambda: per_user(train, test, of.users, seed),
        "collaborative network (torch)": lambda: collaborative(train, test, of.users, len(movies.ids), seed),
    }
    for name, ask in asks.items():
        started = time.process_time()
        said = ask()
        guesses[name] = Guess(
            said.rating,  # type: ignore[attr-defined]
            time.process_time() - started,
            said.parameter_bytes,  # type: ignore[attr-defined]
        )
    return guesses


def _guesses(movies: Movies, of: Round, joined: Joined, seed: int) -> dict[str, Guess]:
    found = {}
    for name, baseline, state_bytes in (
        ("always four stars", _constant, 0),
        ("the user's mean", _user_mean, 16 * of.users),
        ("the user's likeliest two stars", _user_window, 8 * len(LEVELS) * of.users),
    ):
        started = time.process_time()
        rating = baseline(movies, of)
        found[name] = Guess(rating, time.process_time() - started, state_bytes)
    found["weightless network a user (26 bits, nearest)"] = _nearest(movies, of, joined)
    return found | _nets(movies, of, joined, seed) | _ours(movies, of, joined)


def _measure(
    movies: Movies, joined: Joined, seed: int, *, by_time: bool, small: bool
) -> list[dict[str, Cell]]:
    """Rows of all rounds: reviews, round, model, users, tests, accuracy, seconds, state_bytes."""
    rows: list[dict[str, Cell]] = []
    for reviews in REVIEWS[:2] if small else REVIEWS:
        for number in range(seed, seed + (1 if small else ROUNDS)):
            of = draw(movies, reviews, number, 40 if small else USERS, by_time=by_time)
            for name, guess in _guesses(movies, of, joined, number).items():
                right = np.abs(guess.rating - movies.rating[of.test]) <= WITHIN
                rows.append(
                    {
                        "protocol": "as it should be" if by_time else "as it was",
                        "reviews": reviews,
                        "round": number,
                        "model": name,
                        "users": of.users,
                        "tests": len(of.test),
                        "accuracy": float(right.mean()),
                        "cpu_seconds": guess.seconds,
                        "state_bytes": guess.state_bytes,
                    }
                )
    return rows


def _summary(rows: list[dict[str, Cell]]) -> tuple[dict[str, Cell], ...]:
    """A row a model: mean accuracy by reviews, and of the most reviews CPU seconds and KiB a round; best mean first."""
    names = dict.fromkeys(str(row["model"]) for row in rows)
    sizes = sorted({int(row["reviews"] or 0) for row in rows})

    def mean(name: str, reviews: int, what: str) -> float:
        return float(
            np.mean([row[what] for row in rows if row["model"] == name and row["reviews"] == reviews])
        )

    table: list[dict[str, Cell]] = [
        {
            "model": name,
            **{f"{reviews} reviews": mean(name, reviews, "accuracy") for reviews in sizes},
            "CPU s": mean(name, sizes[-1], "cpu_seconds"),
            "KiB": mean(name, sizes[-1], "state_bytes") / 1024,
        }
        for name in names
    ]
    return tuple(
        sorted(table, key=lambda row: -float(np.mean([float(row[f"{n} reviews"] or 0) for n in sizes])))
    )


def run(asked: Asked) -> list[ResultTable]:
    """Measure both forms; see the module."""
    settings = msgspec.structs.replace(asked.settings, dataset="the-movies-dataset")
    folder = find_source(settings).folder
    assert folder is not None
    movies = read_movies(folder)
    was = _measure(movies, movies.wrong, settings.seed, by_time=False, small=asked.small)
    should = _measure(movies, movies.right, settings.seed, by_time=True, small=asked.small)
    of = "Accuracy: the guess is within one star of the rating; means of the rounds. CPU s and KiB are of one round of the most reviews."
    drawn = (
        f"{USERS} users drawn anew each round of those who have so many reviews (of 200: all 137), {ROUNDS} rounds; one review "
        "in five is tested."
    )
    published: tuple[dict[str, Cell], ...] = tuple(
        {"model": name, **{f"{n} reviews": value for n, value in zip(REVIEWS, values, strict=True)}}
        for name, values in _PUBLISHED.items()
    )
    summary = _summary(was)
    columns = list(summary[0])
    with_published = summary + (
        () if asked.small else tuple({column: row.get(column) for column in columns} for row in published)
    )
    return [
        ResultTable(
            "weightless-as-it-was",
            "As it was",
            (
                of,
                drawn,
                f"Reviews and their split are drawn at random; films are joined by MovieLens' id taken for TMDB's: {movies.wrong.found:,} of "
                f"{len(movies.ids):,} films find one, and it is another film. The rows that are called published are its own README's; "
                "without its code's draw they are not the same test.",
            ),
            with_published,
        ),
        ResultTable(
            "weightless",
            "As it should have been",
            (
                of,
                drawn,
                f"Films are joined by tmdbId ({movies.right.found:,} found). A user's first reviews in time are taken, the last fifth of these is "
                "tested, and everything is learned from the other four fifths alone, of all users drawn. The public's votes on TMDB are of "
                "later than the ratings, as they were in the source; one row does without.",
                "Our models guess the middle of the likeliest two stars of their distribution over the scale's ten levels "
                "(engram/source_systems/levels.py), for that is what accuracy within one star asks for; the networks guess a mean.",
            ),
            _summary(should),
        ),
        ResultTable("weightless-rounds", "Every round", (), tuple(was + should)),
    ]
