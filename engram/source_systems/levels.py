"""What rating a user will give a film, as a distribution over the levels of the scale, and the guess that it speaks for.

    p(level g | user, film) ~ exp(weights . evidence(g))

evidence of a level g, of what is known before the event (counts of levels c, all shrunken; m the crowd's mean rating):

    log p_crowd(g)                  c_crowd, from a flat prior
    log p_user(g) / p_crowd(g)      p_user = (c_user + 3 p_crowd) / (n_user + 3)
    log p_film(g) / p_crowd(g)      p_film = (c_film + 5 p_crowd) / (n_film + 5)
    -(g - m)^2                      narrower or wider than the crowd
    (g - m) x ...                   each of: offset of the film, offset of the user, the public's vote on the film, the
                                    user's taste for its genres, log of how many voted, its year, and what other models
                                    expect (their predicted rating less m)

The weights are those of greatest likelihood over the training events, each with the evidence that stood before it, with a
ridge towards what is plausible (the crowd at 1, user .7, film .5, all else 0): a convex problem, by Newton's method with
steps halved until they lead upwards.

Where a guess counts as right within one star, the best guess is the middle of the likeliest two stars, not the mean.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

LEVELS: Final = np.arange(1, 11) / 2.0  # half a star to five
WITHIN: Final = 1.0  # stars
OWN: Final = 10  # kinds of evidence without other models'
_FIRST: Final = (1.0, 0.7, 0.5)
_RIDGE: Final = 10.0
_STEPS: Final = 20
_HALVINGS: Final = 10
_SMALL: Final = 1e-8
_USER_PRIOR, _FILM_PRIOR = 3.0, 5.0
_GENRE_PRIOR: Final = 4.0
_VOTES: Final = 20.0  # of the mean vote, beside a film's own
_MEAN_VOTE: Final = 6.5  # out of ten


class Films(NamedTuple):
    """What is known of films beforehand.

    genres: float64[films, genres], 0 or 1. vote: float64[films], the public's, out of ten and shrunken, less its mean.
    popular: float64[films], log of how many voted, scaled. year: float64[films], in twenties from 1995 on.
    """

    genres: NDArray[np.float64]
    vote: NDArray[np.float64]
    popular: NDArray[np.float64]
    year: NDArray[np.float64]


def films_of(
    genres: NDArray[np.float64],
    vote: NDArray[np.float64],
    votes: NDArray[np.float64],
    year: NDArray[np.float64],
) -> Films:
    """Scale what is known; NaN where something is not. votes: how many voted."""
    known = np.isfinite(vote) & (votes > 0)
    weight = np.where(known, votes, 0.0)
    shrunken = (np.where(known, vote, 0.0) * weight + _MEAN_VOTE * _VOTES) / (weight + _VOTES)
    popular = np.minimum(np.log1p(np.nan_to_num(votes)) / 8.0, 1.2)
    return Films(
        genres, shrunken - _MEAN_VOTE, popular, np.where(np.isfinite(year), (year - 1995.0) / 20.0, 0.0)
    )


class Counts(NamedTuple):
    """What has been learned.

    crowd: float64[10]. user, film: float64[rows, 10], counts of levels; of_user, of_film: float64[rows, 2], offsets (sum,
    events). taste: float64[users, genres, 2], the same of what is left beside the offsets.
    """

    crowd: NDArray[np.float64]
    user: NDArray[np.float64]
    film: NDArray[np.float64]
    of_user: NDArray[np.float64]
    of_film: NDArray[np.float64]
    taste: NDArray[np.float64]

    @property
    def nbytes(self) -> int:
        """Bytes of the state."""
        return sum(array.nbytes for array in self)


def no_counts(users: int, films: Films) -> Counts:
    """Nothing learned yet; the crowd starts flat, with a weight of two events."""
    count, genres = films.genres.shape
    levels = len(LEVELS)
    return Counts(
        np.full(levels, 0.2),
        np.zeros((users, levels)),
        np.zeros((count, levels)),
        np.zeros((users, 2)),
        np.zeros((count, 2)),
        np.zeros((users, genres, 2)),
    )


@numba.njit(cache=True)
def _read(
    counts: Counts, films: Films, user: int, film: int, others: NDArray[np.float64], out: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Fill out (float64[10, OWN + others]); return m and the offsets of user and film."""
    total, own, of_film = counts.crowd.sum(), counts.user[user].sum(), counts.film[film].sum()
    mean = 0.0
    for k in range(10):
        mean += counts.crowd[k] / total * 0.5 * (k + 1)
    b_user = counts.of_user[user, 0] / (counts.of_user[user, 1] + _USER_PRIOR)
    b_film = counts.of_film[film, 0] / (counts.of_film[film, 1] + _FILM_PRIOR)
    liking, genres = 0.0, 0.0
    for k in range(films.genres.shape[1]):
        if films.genres[film, k] > 0:
            liking += counts.taste[user, k, 0] / (counts.taste[user, k, 1] + _GENRE_PRIOR)
            genres += 1.0
    if genres > 0:
        liking /= genres
    for k in range(10):
        p = counts.crowd[k] / total
        off = 0.5 * (k + 1) - mean
        out[k, 0] = np.log(p)
        out[k, 1] = np.log((counts.user[user, k] + _USER_PRIOR * p) / (own + _USER_PRIOR) / p)
        out[k, 2] = np.log((counts.film[film, k] + _FILM_PRIOR * p) / (of_film + _FILM_PRIOR) / p)
        out[k, 3] = -off * off
        out[k, 4] = off * b_film
        out[k, 5] = off * b_user
        out[k, 6] = off * films.vote[film]
        out[k, 7] = off * liking
        out[k, 8] = off * films.popular[film]
        out[k, 9] = off * films.year[film]
        for other in range(len(others)):
            out[k, 10 + other] = 0.0 if np.isnan(others[other]) else off * (others[other] - mean)
    return mean, b_user, b_film


@numba.njit(cache=True)
def _learn(
    counts: Counts, films: Films, user: int, film: int, rating: float, bases: tuple[float, float, float]
) -> None:
    mean, b_user, b_film = bases
    level = min(max(round(2.0 * rating) - 1, 0), 9)
    for k in range(films.genres.shape[1]):
        if films.genres[film, k] > 0:
            counts.taste[user, k, 0] += rating - mean - b_user - b_film
            counts.taste[user, k, 1] += 1.0
    counts.of_user[user, 0] += rating - mean - b_film
    counts.of_user[user, 1] += 1.0
    counts.of_film[film, 0] += rating - mean - b_user
    counts.of_film[film, 1] += 1.0
    counts.user[user, level] += 1.0
    counts.film[film, level] += 1.0
    counts.crowd[level] += 1.0


@numba.njit(cache=True)
def read_events(
    counts: Counts,
    films: Films,
    user: NDArray[np.int64],
    film: NDArray[np.int64],
    rating: NDArray[np.float64],
    others: NDArray[np.float64],
    out: NDArray[np.float64],
    learns: bool,
) -> None:
    """Fill out (float64[n, 10, OWN + o]) with the evidence before each event; where it learns, learn each event then.

    others: float64[n, o], ratings that other models expect, NaN for none.
    """
    for at in range(len(user)):
        bases = _read(counts, films, user[at], film[at], others[at], out[at])
        if learns:
            _learn(counts, films, user[at], film[at], rating[at], bases)


def fit_weights(
    evidence: NDArray[np.float64], rating: NDArray[np.float64], used: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the weights (float64[kinds], 0 for kinds that are not used) of greatest penalised likelihood.

    evidence: float64[n, 10, kinds]; used: int64, kinds that may weigh.
    """
    levels = np.clip(np.rint(2 * rating).astype(np.int64) - 1, 0, len(LEVELS) - 1)
    seen = evidence[:, :, used]
    prior = np.zeros(evidence.shape[2])
    prior[: len(_FIRST)] = _FIRST
    prior = prior[used]

    def objective(of: NDArray[np.float64]) -> float:
        z = seen @ of
        most = z.max(axis=1)
        likelihood = z[at, levels] - most - np.log(np.exp(z - most[:, None]).sum(axis=1))
        return float(likelihood.sum() - 0.5 * _RIDGE * np.square(of - prior).sum())

    at = np.arange(len(levels))
    weights = prior.copy()
    for _ in range(_STEPS):
        p = _softmax(seen @ weights)
        mean = np.einsum("nk,nkf->nf", p, seen)
        slope = (seen[at, levels] - mean).sum(0) - _RIDGE * (weights - prior)
        bend = np.einsum("nk,nkf,nkh->fh", p, seen, seen) - mean.T @ mean + _RIDGE * np.eye(len(used))
        step, best = np.linalg.solve(bend, slope), objective(weights)
        if np.abs(step).max() < _SMALL:
            break
        # A whole step may lead past the top, and then away from it.
        for _ in range(_HALVINGS):
            if objective(weights + step) >= best:
                break
            step = step / 2.0
        weights = weights + step
    whole = np.zeros(evidence.shape[2])
    whole[used] = weights
    return whole


def distribution(evidence: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return float64[n, 10], what each level's probability is."""
    return _softmax(evidence @ weights)


def likeliest(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the guess (float64[n], a level) within one star of which the most probability lies; the higher of equal ones."""
    near = (np.abs(LEVELS[:, None] - LEVELS[None, :]) <= WITHIN).astype(np.float64)
    mass = p @ near
    best: NDArray[np.float64] = LEVELS[::-1][np.argmax(mass[:, ::-1], axis=1)]
    return best


def _softmax(z: NDArray[np.float64]) -> NDArray[np.float64]:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    whole: NDArray[np.float64] = e / e.sum(axis=-1, keepdims=True)
    return whole
