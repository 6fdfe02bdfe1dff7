"""The files of the leave-one-out protocol, and its question for choosing settings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eventlog.errors import DataError, DataFormatError, DataMissingError
from producers.columns import RatingColumns
from producers.leave_one_out import (
    LeaveOneOut,
    find_leave_one_out,
    hold_out_last,
    read_item_map,
    read_leave_one_out,
)
from tests.producers.leave_one_out_files import NEGATIVES, TEST, TRAIN, write_leave_one_out


@pytest.mark.parametrize("rated", [False, True])
def test_training_is_in_the_order_of_time_and_questions_are_as_written(tmp_path: Path, rated: bool) -> None:
    data = read_leave_one_out(find_leave_one_out(write_leave_one_out(tmp_path, rated=rated).parent))
    in_order = sorted(TRAIN, key=lambda event: event[2])
    assert [
        (int(user), int(item)) for user, item in zip(data.train.users, data.train.items, strict=True)
    ] == [event[:2] for event in in_order]
    assert data.train.event_time_ms.tolist() == [seconds * 1000 for *_, seconds in in_order]
    assert np.isnan(data.train.ratings).all()
    assert list(zip(data.users.astype(int), data.items.astype(int), strict=True)) == [t[:2] for t in TEST]
    assert data.negatives.astype(int).tolist() == [list(NEGATIVES[user]) for user, *_ in TEST]


def with_more_items(data: LeaveOneOut) -> LeaveOneOut:
    """Two more users of 120 items each, so that there is something to draw."""
    train = data.train
    users = np.repeat(np.array([b"8", b"9"]), 120)
    return data._replace(
        train=RatingColumns(
            np.concatenate([train.users, users]),
            np.concatenate([train.items, np.arange(3, 243).astype("S3")]),
            np.full(train.size + 240, np.nan),
            np.concatenate([train.event_time_ms, 500_000 + np.arange(240)]),
        )
    )


def test_the_validation_question_is_each_users_last_of_training(tmp_path: Path) -> None:
    data = with_more_items(read_leave_one_out(write_leave_one_out(tmp_path)))
    held = hold_out_last(data, seed=7)
    questions = dict(zip(held.users.tolist(), held.items.tolist(), strict=True))
    assert questions == {b"0": b"2", b"1": b"3", b"2": b"100", b"8": b"122", b"9": b"242"}
    assert held.train.size == data.train.size - 5
    had: dict[bytes, set[bytes]] = {user: set() for user in questions}
    for columns in (data.train, data):
        for user, item in zip(columns.users.tolist(), columns.items.tolist(), strict=True):
            had[user].add(item)
    for user, negatives in zip(held.users.tolist(), held.negatives.tolist(), strict=True):
        assert len(set(negatives)) == 99
        assert not had[user] & set(negatives)


def test_the_draw_is_of_the_seed(tmp_path: Path) -> None:
    data = with_more_items(read_leave_one_out(write_leave_one_out(tmp_path)))
    first, again, other = (hold_out_last(data, seed).negatives for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_a_user_who_has_had_nearly_everything_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="user '0' has had all but 1 items"):
        hold_out_last(read_leave_one_out(write_leave_one_out(tmp_path)), seed=0)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"test": "0\t3\t6\t400\n"}, r"ml-1m\.test\.rating, line 1: rating is '6'"),
        ({"test": "0\t3\t4\t400\n1\tx\t4\t400\n"}, r"line 2: item is 'x'"),
        ({"test": "0\t3\t4\t400\n"}, r"ml-1m\.test\.negative, line 2: .*expected no more lines"),
        ({"test": "0\t3\t4\t400\n1\t9\t4\t1\n2\t1\t4\t1\n"}, r"line 2: .*'\(1,2\)', expected \(1,9\)"),
        ({"negative": "(0,3)\t1\t2\n"}, r"ml-1m\.test\.negative, line 1: line is .*expected 100 fields"),
        ({"negative": "0,3" + "\t7" * 99 + "\n"}, r"line 1: \(user,item\) is '0,3', expected a pair"),
        ({"train": "user,item\n1,2\n"}, r"train\.events\.csv\.gz, line 1: header"),
        ({"train": "user,item,event_time_s,time_is_exact\n1,2,-3,1\n"}, r"line 2: event_time_s is '-3'"),
        ({"train": "user,item,event_time_s,time_is_exact\n1,2,3\n"}, r"line 2: line is '1,2,3', expected 4"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, changed: dict[str, str], said: str) -> None:
    with pytest.raises(DataFormatError, match=said):
        read_leave_one_out(write_leave_one_out(tmp_path, **changed))


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    folder = write_leave_one_out(tmp_path)
    (folder / "ml-1m.test.negative").unlink()
    with pytest.raises(DataMissingError, match=r"ncf-ml-1m has no ml-1m\.test\.negative"):
        find_leave_one_out(tmp_path)
    with pytest.raises(DataMissingError, match="--data-dir"):
        find_leave_one_out(None)


def test_the_item_map(tmp_path: Path) -> None:
    assert read_item_map(tmp_path) == {}
    path = tmp_path / "ml-1m.item_map.tsv"
    path.write_text("ncf_item\tml_movieId\n0\t1193\n1\t661\n")
    assert read_item_map(tmp_path) == {"1193": "0", "661": "1"}
    path.write_text("ncf_item\tml_movieId\n0\tx\n")
    with pytest.raises(DataFormatError, match=r"line 2: ml_movieId is 'x'"):
        read_item_map(tmp_path)
