"""Leave one out on MovieLens 1M: each user's last item, to be found among 99 that the user never had.

The authors' files (He et al. 2017, "Neural collaborative filtering", WWW): `ml-1m.test.rating` and
`ml-1m.test.negative`. The training pairs are read from the authors' `ml-1m.train.rating`, or, where that is absent,
from `train.events.csv.gz` (user, item, event_time_s, time_is_exact). What users gave is left out: the task is of
whether, not of how much. `ml-1m.item_map.tsv`, where it is, leads from items to MovieLens' own ids.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eventlog.errors import DataError, DataFormatError, DataMissingError
from eventlog.events import MAX_EVENT_TIME_MS
from producers.columns import RatingColumns
from producers.event_order import TieOrder, replay_order
from producers.readers.csv_rows import read_csv_rows
from producers.readers.item_lines import check_int, split_lines

NAME: Final = "ncf-ml-1m"
NEGATIVES: Final = 99
TRAIN_RATINGS: Final = "ml-1m.train.rating"
TRAIN_EVENTS: Final = "train.events.csv.gz"
TEST_RATINGS: Final = "ml-1m.test.rating"
TEST_NEGATIVES: Final = "ml-1m.test.negative"
ITEM_MAP: Final = "ml-1m.item_map.tsv"

_MAX_ID: Final = 10**9
_MAX_SECONDS: Final = MAX_EVENT_TIME_MS // 1000
_ID: Final = (0, _MAX_ID)
_RATING_FIELDS: Final = {"user": _ID, "item": _ID, "rating": (1, 5), "time": (0, _MAX_SECONDS)}
_EVENT_FIELDS: Final = {"user": _ID, "item": _ID, "event_time_s": (0, _MAX_SECONDS), "time_is_exact": (0, 1)}
_PAIR: Final = re.compile(r"\(([0-9]{1,9}),([0-9]{1,9})\)")


class LeaveOneOut(NamedTuple):
    """What is learned, and n questions, one a user.

    train: ratings NaN, in replay order. users, items: `S<width>`[n], who is asked about and the item left out.
    negatives: `S<width>`[n, 99], the items among which it is to be found.
    """

    train: RatingColumns
    users: NDArray[np.bytes_]
    items: NDArray[np.bytes_]
    negatives: NDArray[np.bytes_]


def find_leave_one_out(data_dir: Path | None) -> Path:
    """Return the folder of the files: `ncf-ml-1m` in `data_dir`, or `data_dir` itself.

    Raises `DataMissingError` that says what is missing where.
    """
    if data_dir is None:
        raise DataMissingError(
            f"leave-one-out needs the folder {NAME}, and no folder was named: expected --data-dir or ENGRAM_DATA_DIR"
        )
    folders = (data_dir / NAME, data_dir)
    for folder in folders:
        if not _missing(folder):
            return folder
    tried = "; ".join(f"{folder} has no {', no '.join(_missing(folder))}" for folder in folders)
    raise DataMissingError(f"leave-one-out needs the files of He et al. (2017): {tried}")


def read_leave_one_out(folder: Path) -> LeaveOneOut:
    """Read the authors' test. Raises `DataFormatError` at the first malformed line."""
    train = _train(folder)
    path, negatives_path = folder / TEST_RATINGS, folder / TEST_NEGATIVES
    test = _rows(path, "\t", _RATING_FIELDS)
    # (25,3)<tab>7<tab>... as 25<tab>3<tab>7<tab>...
    text = negatives_path.read_bytes()
    questions = _numbers(text.replace(b",", b"\t").translate(None, b"()"), "\t", 2 + NEGATIVES)
    marks = [text.count(mark) for mark in b"(,)"]
    if questions is None or marks != [len(questions)] * 3:
        questions = _questions(negatives_path)
    if len(questions) != len(test) or (questions[:, :2] != test[:, :2]).any():
        both = min(len(questions), len(test))
        line = next((row for row in range(both) if (questions[row, :2] != test[row, :2]).any()), both)
        expected = f"({test[line, 0]},{test[line, 1]})" if line < len(test) else "no more lines"
        found = f"({questions[line, 0]},{questions[line, 1]})" if line < len(questions) else ""
        raise DataFormatError(
            negatives_path, line + 1, "(user,item)", found, f"{expected}, as in {TEST_RATINGS}"
        )
    return LeaveOneOut(train, _ids(test[:, 0]), _ids(test[:, 1]), _ids(questions[:, 2:]))


def hold_out_last(data: LeaveOneOut, seed: int) -> LeaveOneOut:
    """Make the same question of training alone, for choosing settings: each user's last training event is left out.

    Its 99 negatives are drawn with `seed`, without replacement, of the items that the user never had, the test
    item among those that were had. Users with a single event are not asked about.
    Raises `DataError` for a user with fewer than 99 such items.
    """
    train = data.train
    catalogue, item = np.unique(np.concatenate([train.items, data.items]), return_inverse=True)
    people, user = np.unique(np.concatenate([train.users, data.users]), return_inverse=True)
    had = np.zeros((len(people), len(catalogue)), np.bool_)
    had[user, item] = True
    of_train = user[: train.size]
    # Of several assignments to one place numpy keeps the last.
    last = np.full(len(people), -1, np.int64)
    last[of_train] = np.arange(train.size)
    asked = np.flatnonzero((np.bincount(of_train, minlength=len(people)) > 1) & (last >= 0))
    rows = last[asked]
    random = np.random.default_rng(seed)
    negatives = np.empty((len(asked), NEGATIVES), catalogue.dtype)
    for place, person in enumerate(asked):
        left = np.flatnonzero(~had[person])
        if len(left) < NEGATIVES:
            raise DataError(
                f"user {people[person].decode()!r} has had all but {len(left)} items, expected {NEGATIVES} or more "
                "to draw from"
            )
        negatives[place] = catalogue[random.choice(left, NEGATIVES, replace=False)]
    stays = np.ones(train.size, np.bool_)
    stays[rows] = False
    return LeaveOneOut(train.take(stays), train.users[rows], train.items[rows], negatives)


def leave_out_last(columns: RatingColumns, seed: int = 0) -> LeaveOneOut:
    """The same test of any data set: each user's last item, and 99 negatives drawn with `seed`; see `hold_out_last`.

    columns: in replay order; of a repeated pair the first event counts.
    """
    _, user = np.unique(columns.users, return_inverse=True)
    catalogue, item = np.unique(columns.items, return_inverse=True)
    _, first = np.unique(user.astype(np.int64) * len(catalogue) + item, return_index=True)
    once = columns.take(np.sort(first))
    nobody = LeaveOneOut(once, once.users[:0], once.items[:0], np.zeros((0, NEGATIVES), once.items.dtype))
    return hold_out_last(nobody, seed)


def read_item_map(folder: Path) -> dict[str, str]:
    """Return {MovieLens id: item} of `ml-1m.item_map.tsv`, nothing where it is absent. Raises `DataFormatError`."""
    path = folder / ITEM_MAP
    if not path.is_file():
        return {}
    found = {}
    for line, (item, movie) in split_lines(path, "\t", ("ncf_item", "ml_movieId")):
        if line == 1:
            if (item, movie) != ("ncf_item", "ml_movieId"):
                raise DataFormatError(path, 1, "header", f"{item}\t{movie}", "'ncf_item\\tml_movieId'")
            continue
        movie_id = check_int(path, line, "ml_movieId", movie, 1, _MAX_ID)
        found[str(movie_id)] = str(check_int(path, line, "ncf_item", item, 0, _MAX_ID))
    return found


def _missing(folder: Path) -> list[str]:
    names = [name for name in (TEST_RATINGS, TEST_NEGATIVES) if not (folder / name).is_file()]
    if not any((folder / name).is_file() for name in (TRAIN_RATINGS, TRAIN_EVENTS)):
        names.append(f"{TRAIN_RATINGS} or {TRAIN_EVENTS}")
    return names


def _train(folder: Path) -> RatingColumns:
    own = folder / TRAIN_RATINGS
    if own.is_file():
        columns = _rows(own, "\t", _RATING_FIELDS)[:, [0, 1, 3]]
    else:
        columns = _timed_rows(folder / TRAIN_EVENTS)
    users, items, times_ms = _ids(columns[:, 0]), _ids(columns[:, 1]), columns[:, 2] * 1000
    order = replay_order(users, items, times_ms, TieOrder.HASH)
    return RatingColumns(users, items, np.full(len(columns), np.nan), times_ms).take(order)


def _timed_rows(path: Path) -> NDArray[np.int64]:
    """User, item and seconds of `TRAIN_EVENTS`: int64[n, 3]."""
    try:
        header, _, text = gzip.decompress(path.read_bytes()).partition(b"\n")
    except (gzip.BadGzipFile, EOFError, zlib.error):
        header, text = b"", b""
    found = (
        _numbers(text, ",", len(_EVENT_FIELDS))
        if header.rstrip() == ",".join(_EVENT_FIELDS).encode()
        else None
    )
    if found is None:
        rows = read_csv_rows(path, tuple(_EVENT_FIELDS))
        found = np.array([_checked(path, line, _EVENT_FIELDS, row) for line, row in rows], np.int64)
    return found.reshape(-1, len(_EVENT_FIELDS))[:, :3]


def _rows(path: Path, separator: str, fields: Mapping[str, tuple[int, int]]) -> NDArray[np.int64]:
    """A file of whole numbers, one row a line; fields: {name: (least, greatest)}."""
    found = _numbers(path.read_bytes(), separator, len(fields))
    if found is None or any(
        ((column < least) | (column > greatest)).any()
        for column, (least, greatest) in zip(found.T, fields.values(), strict=True)
    ):
        lines = split_lines(path, separator, tuple(fields))
        found = np.array([_checked(path, line, fields, texts) for line, texts in lines], np.int64)
    return found


def _questions(path: Path) -> NDArray[np.int64]:
    """User, item and 99 negatives a line, line by line: int64[n, 101]."""
    names = ("(user,item)", *(f"negative {number}" for number in range(1, NEGATIVES + 1)))
    ids = dict.fromkeys(names[1:], _ID)
    questions = []
    for line, (pair, *drawn) in split_lines(path, "\t", names):
        found = _PAIR.fullmatch(pair)
        if found is None:
            raise DataFormatError(path, line, names[0], pair, "a pair such as (0,25)")
        questions.append([int(found[1]), int(found[2]), *_checked(path, line, ids, drawn)])
    return np.array(questions, np.int64)


def _numbers(text: bytes, separator: str, columns: int) -> NDArray[np.int64] | None:
    """Parse lines of whole numbers at once, int64[n, columns]; None where anything is amiss, to be said line by line."""
    if text.translate(None, b"0123456789\r\n" + separator.encode()):
        return None
    try:
        found = np.loadtxt(io.BytesIO(text), np.int64, comments=None, delimiter=separator, ndmin=2)
    except ValueError:
        return None
    return found if found.shape[1] == columns and found.max(initial=0) <= _MAX_SECONDS else None


def _checked(path: Path, line: int, fields: Mapping[str, tuple[int, int]], texts: Sequence[str]) -> list[int]:
    return [
        check_int(path, line, field, text, least, greatest)
        for (field, (least, greatest)), text in zip(fields.items(), texts, strict=True)
    ]


def _ids(numbers: NDArray[np.int64]) -> NDArray[np.bytes_]:
    """Ids as opaque text, `S<width>`, of the shape of `numbers`."""
    return numbers.astype(f"S{len(str(int(numbers.max(initial=0))))}")
