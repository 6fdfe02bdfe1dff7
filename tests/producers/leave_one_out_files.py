"""A made leave-one-out folder in the form of the authors' files: 3 users, 110 items."""

from __future__ import annotations

import gzip
from pathlib import Path

# User, item, seconds. Item 0 is everybody's; user 2's item 100 is drawn against nobody else's.
TRAIN = (
    (0, 0, 100), (1, 0, 150), (2, 0, 160),
    (0, 1, 200), (1, 1, 250), (2, 100, 260),
    (0, 2, 300), (1, 3, 350),
)  # fmt: skip
TEST = ((0, 3, 400), (1, 2, 450), (2, 1, 460))
# User 0's third negative is the test item itself.
NEGATIVES = {0: (4, 5, 3, *range(6, 102)), 1: tuple(range(4, 103)), 2: tuple(range(2, 101))}


def write_leave_one_out(parent: Path, *, rated: bool = False, **changed: str) -> Path:
    """Write `parent/ncf-ml-1m`; rated: training in the authors' own form. changed: text of test or negative."""
    folder = parent / "ncf-ml-1m"
    folder.mkdir(parents=True)
    if rated:
        lines = "".join(f"{user}\t{item}\t5\t{seconds}\n" for user, item, seconds in TRAIN)
        (folder / "ml-1m.train.rating").write_text(lines)
    else:
        lines = "".join(f"{user},{item},{seconds},1\n" for user, item, seconds in TRAIN)
        text = changed.get("train", "user,item,event_time_s,time_is_exact\n" + lines)
        (folder / "train.events.csv.gz").write_bytes(gzip.compress(text.encode()))
    test = "".join(f"{user}\t{item}\t4\t{seconds}\n" for user, item, seconds in TEST)
    (folder / "ml-1m.test.rating").write_text(changed.get("test", test))
    negatives = "".join(
        f"({user},{item})\t" + "\t".join(map(str, NEGATIVES[user])) + "\n" for user, item, _ in TEST
    )
    (folder / "ml-1m.test.negative").write_text(changed.get("negative", negatives))
    return folder
