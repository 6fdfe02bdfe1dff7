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
from tests.consumers.prediction_stream import block, random_ranks, summary, write

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


def test_a_block_of_an_older_learner_has_no_ratings() -> None:
    wire = msgspec.msgpack.decode(block(random_ranks(4, 1, MODELS), 0, 4).to_record().value or b"")
    for field in ("rating", "scale", "predicted"):
        wire.pop(field)
    found = decode_prediction(msgspec.msgpack.encode(wire))
    assert isinstance(found, PredictionBlock)
    assert np.isnan(found.rating).tolist() == [True] * 4
    assert found.predicted == {}


def test_a_summary_comes_back_as_it_was() -> None:
    one = summary(MODELS, 20, timed_events=7)
    assert decode_prediction(one.to_record().value or b"") == one


def newer_messages() -> list[bytes]:
    wire = msgspec.msgpack.decode(block(random_ranks(4, 1, MODELS), 0, 4).to_record().value or b"")
    said = msgspec.json.decode(summary(MODELS, 4).to_record().value or b"")
    return [msgspec.msgpack.encode({**wire, "v": 2}), msgspec.json.encode({**said, "v": 2})]


@pytest.mark.parametrize("message", newer_messages(), ids=["block", "summary"])
def test_a_newer_message_is_refused(message: bytes, tmp_path: Path) -> None:
    with pytest.raises(msgspec.ValidationError, match="v is 2, expected 1"):
        decode_prediction(message)
    with SqliteLog(tmp_path / "log.db") as log:
        log.create_topic("predictions", 1)
        write(log, "predictions", message)
        with Evaluator(log, "predictions") as evaluator, pytest.raises(PredictionsError, match="v is 2"):
            evaluator.step(0.0)


@pytest.mark.parametrize("message", [b"", b"{}", b"junk", b'{"v":1,"lane":"x"}', b"\x80"])
def test_what_is_no_prediction_is_refused(message: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_prediction(message)


def test_a_summary_is_json_so_that_people_can_read_it() -> None:
    value = summary(MODELS, 20).to_record().value or b""
    assert isinstance(msgspec.json.decode(value, type=LaneSummary), LaneSummary)
