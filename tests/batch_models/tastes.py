"""Made interactions with a known structure: two halves of the users, each of which has items of its own half."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from batch_models.interactions import Interactions

USERS, ITEMS, EACH = 40, 30, 10


def two_tastes(seed: int = 0) -> Interactions:
    """Even users have ten of the even items, odd users of the odd ones: 400 events, one a second."""
    random = np.random.default_rng(seed)
    user, item = [], []
    for one in range(USERS):
        own = np.arange(one % 2, ITEMS, 2)
        user += [one] * EACH
        item += random.choice(own, EACH, replace=False).tolist()
    order = random.permutation(len(user))
    return Interactions(
        np.array(user, np.int64)[order],
        np.array(item, np.int64)[order],
        np.arange(len(user), dtype=np.int64) * 1000,
        np.full(len(user), np.nan, np.float32),
        USERS,
        ITEMS,
    )


def separation(scores: np.ndarray, data: Interactions) -> float:
    """How often an item of a user's half that they have not had is above one of the other half: 0 to 1."""
    had = np.zeros((USERS, ITEMS), np.bool_)
    had[data.user, data.item] = True
    right = []
    for one in range(USERS):
        own = [item for item in range(one % 2, ITEMS, 2) if not had[one, item]]
        other = range(1 - one % 2, ITEMS, 2)
        right += [scores[one, a] > scores[one, b] for a in own for b in other]
    return float(np.mean(right))


def write_two_tastes(parent: Path, seed: int = 0) -> Path:
    """Write `parent/ncf-ml-1m` with two tastes: 60 users, 160 items, of each user 20 events, the last of them the test's.

    Of a question's negatives 19 are of the user's own half and 80 of the other.
    """
    random = np.random.default_rng(seed)
    folder = parent / "ncf-ml-1m"
    folder.mkdir(parents=True)
    train, test, negative = [], [], []
    for user in range(60):
        own, other = np.arange(user % 2, 160, 2), np.arange(1 - user % 2, 160, 2)
        *seen, last = random.choice(own, 20, replace=False).tolist()
        train += [f"{user}\t{item}\t5\t{1000 + 60 * place + user}\n" for place, item in enumerate(seen)]
        test.append(f"{user}\t{last}\t5\t9999\n")
        left = random.choice(np.setdiff1d(own, [*seen, last]), 19, replace=False)
        negative.append(f"({user},{last})\t" + "\t".join(map(str, [*left, *other])) + "\n")
    for name, lines in (("train.rating", train), ("test.rating", test), ("test.negative", negative)):
        (folder / f"ml-1m.{name}").write_text("".join(lines))
    return folder
