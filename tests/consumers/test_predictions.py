"""The predictions topic's messages."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from consumers.evaluator import Evaluator
from consumers.predictions import LaneSummary, PredictionBlock, decode_prediction
from eventlog.errors import PredictionsError
from eventlog.sqlite_log import SqliteLog
from tests.consumers.prediction_stream import block, random_lists, random_ranks, summary, write

MODELS = ("a", "b")


def test_a_block_comes_back_as_it_was() -> None:
    one = block(random_ranks(20, 1, MODELS), 5, 20, lane=2, total=40)
    record = one.to_record()
    assert record.headers == (("n", b"15"),)
    found = decode_prediction(record.value or b"")
    assert isinstance(found, PredictionBlock)
    assert found[:4] == one[:4]
    for ours, theirs in zip(found[4:8], one[4:8], strict=True):
        assert np.array_equal(ours, theirs)
    assert {model: ranks.tolist() for model, ranks in found.ranks.items()} == {
        model: ranks.tolist() for model, ranks in one.ranks.items()
    }
    # Ratings are there for models that predict them: without any, they are not sent.
    assert np.isnan(found.rating).tolist() == [True] * 15
    assert found.predicted == {}


def test_ratings_come_back_as_they_were() -> None:
    predicted = np.array([1.0, np.nan, 4.25, -0.0, 1e-300])
    one = block(random_ranks(5, 1, MODELS), 0, 5, predicted={"r": predicted})
    rating = one.rating.copy()
    rating[2] = np.nan
    one = one._replace(rating=rating, scale=(0.5, 5.0))
    found = decode_prediction(one.to_record().value or b"")
    assert isinstance(found, PredictionBlock)
    assert found.scale == (0.5, 5.0)
    assert found.rating.tobytes() == rating.tobytes()
    assert found.predicted["r"].tobytes() == predicted.tobytes()
    rest = found.after(3)
    assert (rest.first_seq, len(rest.flags)) == (3, 2)
    assert rest.rating.tobytes() == rating[3:].tobytes()
    assert rest.predicted["r"].tobytes() == predicted[3:].tobytes()


def test_all_that_the_evaluator_cannot_know_comes_back_as_it_was() -> None:
    ranks = random_ranks(40, 1, MODELS)
    cold = np.where(np.array(ranks["a"]) == -1, 7, 0).astype(np.int32)
    liked = np.linspace(0.0, 1.0, 40)
    top = random_lists(40, 3, MODELS, 4)
    one = block(ranks, 6, 40, liked={"l": liked}, cold={"a": cold}, top=top)
    found = decode_prediction(one.to_record().value or b"")
    assert isinstance(found, PredictionBlock)
    for got in (found, one):
        assert (got.user_seen.dtype, got.item_seen.dtype, got.user_hash.dtype) == (
            np.int32,
            np.int32,
            np.uint32,
        )
    for field in ("user_seen", "item_seen", "user_hash", "rating"):
        assert getattr(found, field).tobytes() == getattr(one, field).tobytes(), field
    assert found.liked["l"].tobytes() == liked[6:].tobytes()
    assert found.cold["a"].tolist() == cold[6:].tolist()
    assert found.top is not None
    assert found.top.at.tolist() == [2, 6, 10, 14, 18, 22, 26, 30]  # lane_seq 8, 12, ... 36
    assert found.top.top_every == 4
    for model in MODELS:
        for got, given in zip(found.top.models[model], top.models[model], strict=True):
            assert got.dtype == given.dtype
            assert np.array_equal(got, given[2:])
    # Without its first three events: those of lane_seq 9 to 39.
    rest = found.after(3)
    assert rest.top is not None
    assert rest.top.at.tolist() == [3, 7, 11, 15, 19, 23, 27]
    rest.top.check(rest.first_seq, len(rest.flags))
    assert rest.top.models["b"].item_seen.tolist() == top.models["b"].item_seen[3:].tolist()
    for field in ("user_seen", "item_seen", "user_hash"):
        assert getattr(rest, field).tolist() == getattr(one, field)[3:].tolist()
    assert rest.liked["l"].tolist() == liked[9:].tolist()
    assert rest.cold["a"].tolist() == cold[9:].tolist()


def test_lists_that_are_not_those_of_the_block_are_refused() -> None:
    one = block(random_ranks(40, 1, MODELS), 0, 40, top=random_lists(40, 3, MODELS, 4))
    wire = msgspec.msgpack.decode(one.to_record().value or b"")
    for spoiled in (
        {**wire["top"], "at": wire["top"]["at"][:-4]},
        {**wire["top"], "every": 5},
        {**wire["top"], "models": {"a": [column[:-8] for column in wire["top"]["models"]["a"]]}},
    ):
        with pytest.raises(ValueError, match=r"top lists|cannot reshape"):
            decode_prediction(msgspec.msgpack.encode({**wire, "top": spoiled}))


def test_a_summary_comes_back_as_it_was() -> None:
    one = summary(MODELS, 20, timed_events=7)
    assert decode_prediction(one.to_record().value or b"") == one


def messages_of(version: int) -> list[bytes]:
    wire = msgspec.msgpack.decode(block(random_ranks(4, 1, MODELS), 0, 4).to_record().value or b"")
    said = msgspec.json.decode(summary(MODELS, 4).to_record().value or b"")
    if version == 1:
        for field in ("user_seen", "item_seen", "user_hash", "liked", "cold", "top"):
            wire.pop(field)
    return [msgspec.msgpack.encode({**wire, "v": version}), msgspec.json.encode({**said, "v": version})]


@pytest.mark.parametrize("version", [1, 3])
@pytest.mark.parametrize("kind", [0, 1], ids=["block", "summary"])
def test_a_message_of_another_version_is_refused(kind: int, version: int, tmp_path: Path) -> None:
    message = messages_of(version)[kind]
    with pytest.raises(msgspec.ValidationError, match=f"v is {version}, expected 2: predictions of another"):
        decode_prediction(message)
    with SqliteLog(tmp_path / "log.db") as log:
        log.create_topic("predictions", 1)
        write(log, "predictions", message)
        with (
            Evaluator(log, "predictions") as evaluator,
            pytest.raises(PredictionsError, match=f"v is {version}"),
        ):
            evaluator.step(0.0)


@pytest.mark.parametrize("message", [b"", b"{}", b"junk", b'{"v":1,"lane":"x"}', b"\x80"])
def test_what_is_no_prediction_is_refused(message: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_prediction(message)


def test_a_summary_is_json_so_that_people_can_read_it() -> None:
    value = summary(MODELS, 20).to_record().value or b""
    assert isinstance(msgspec.json.decode(value, type=LaneSummary), LaneSummary)
