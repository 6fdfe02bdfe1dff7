"""A learner with the items topic beside the ratings, and with events that take back: live, and restarted."""

from __future__ import annotations

from pathlib import Path

import pytest

from consumers.lane import Lane
from consumers.lane_config import LaneConfig
from consumers.learner import Learner, LearnerConfig
from consumers.predictions import PredictionBlock, decode_prediction
from eventlog.codec import encode_event
from eventlog.events import Kind, RatingEvent
from eventlog.log import Record
from eventlog.metadata import MAX_TAGS, ItemMetadata, ItemTag
from eventlog.sqlite_log import SqliteLog
from tests.consumers.ratings_log import TOPICS, create_topics, records

pytestmark = pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")

LANE = LaneConfig(models=("popularity", "hebbian", "content", "user_hebbian"), configs={}, scale=(0.0, 5.0))
ITEMS = [
    ItemMetadata(item="alien", title="Alien", year=1979, genres=("Horror", "Sci-Fi"), language="en"),
    ItemMetadata(
        item="heat",
        title="Heat",
        year=1995,
        genres=("Crime",),
        language="en",
        tags=(ItemTag(10**6 + 1, "heist"), ItemTag(0, "tense")),
    ),
    ItemMetadata(item="untouched", title="Nobody's", year=1995, genres=("Crime",)),
]


@pytest.fixture
def log(tmp_path: Path) -> SqliteLog:
    made = SqliteLog(tmp_path / "log.db")
    create_topics(made, 1)
    made.create_topic(TOPICS.items, 1, compacted=True)
    return made


def say(log: SqliteLog, *said: ItemMetadata | Record | RatingEvent) -> None:
    with log.writer() as writer:
        for one in said:
            if isinstance(one, RatingEvent):
                writer.append(TOPICS.ratings, 0, [encode_event(one)])
            else:
                writer.append(TOPICS.items, 0, [one.to_record() if isinstance(one, ItemMetadata) else one])


_seq = iter(range(10**6))


def rated(user: str, item: str, kind: Kind = Kind.RATING) -> RatingEvent:
    seq = next(_seq)
    rating = 4.0 if kind is Kind.RATING else None
    return RatingEvent(
        user=user,
        item=item,
        event_time_ms=10**6 + seq,
        rating=rating,
        kind=kind,
        source_id="s",
        source_seq=seq,
    )


def start(log: SqliteLog, directory: Path) -> Learner:
    config = LearnerConfig(lane=LANE, checkpoint_every_events=10**9, checkpoint_every_s=1e9, merge=False)
    return Learner(log, TOPICS, config, directory)


def catch_up(learner: Learner) -> Lane:
    while learner.step(0.0):
        pass
    return learner._streams[0].lane


def known(lane: Lane, item: str) -> tuple[set[str], int]:
    """Genres and year of an item that has a row."""
    catalogue = lane.rows.catalogue
    view, row = catalogue.view, lane.rows.items.find(item)
    mask = int(view.genres[view.entry[row]])
    return {name for bit, name in enumerate(catalogue.genres) if mask >> bit & 1}, int(
        view.year[view.entry[row]]
    )


def tags_of(lane: Lane) -> list[tuple[int, int]]:
    """(time, entry) of all tags that the lane holds."""
    tags = lane.rows.catalogue.view.tags
    return list(zip(tags.time_ms.tolist(), tags.entry.tolist(), strict=True))


def predicted(log: SqliteLog) -> list[PredictionBlock]:
    messages = [decode_prediction(record.value or b"") for record in records(log, TOPICS.predictions)]
    return [message for message in messages if isinstance(message, PredictionBlock)]


def test_items_are_known_before_the_first_event(log: SqliteLog, tmp_path: Path) -> None:
    say(log, *ITEMS, rated("a", "alien"), rated("a", "heat"), rated("b", "heat"), rated("b", "nowhere"))
    learner = start(log, tmp_path / "checkpoints")
    lane = catch_up(learner)
    assert known(lane, "alien") == ({"Horror", "Sci-Fi"}, 1979)
    assert known(lane, "heat") == ({"Crime"}, 1995)
    assert known(lane, "nowhere") == (set(), 0)
    assert len(lane.rows.catalogue) == 3
    assert tags_of(lane) == [(0, 2), (10**6 + 1, 2)]
    learner.close()
    [block] = predicted(log)
    # The first event has all three items before it; heat is no western, but of two crime films it is one.
    assert block.cold["content"][0] in {1, 2, 3}
    assert block.cold["content"].tolist()[2:] == [0, 0]


def test_what_is_said_later_counts_from_the_next_checkpoint(log: SqliteLog, tmp_path: Path) -> None:
    say(log, ITEMS[0], rated("a", "alien"))
    learner = start(log, tmp_path / "checkpoints")
    catch_up(learner)
    say(log, *ITEMS[1:], rated("a", "heat"))
    lane = catch_up(learner)
    assert known(lane, "heat") == (set(), 0)
    learner.commit()
    assert known(lane, "heat") == ({"Crime"}, 1995)
    learner.close()


def test_a_restart_knows_what_was_known(log: SqliteLog, tmp_path: Path) -> None:
    """Killed after more was said of items: what is repeated is repeated as it was."""
    say(log, ITEMS[0], rated("a", "alien"))
    learner = start(log, tmp_path / "checkpoints")
    catch_up(learner)
    learner.commit()
    say(log, *ITEMS[1:], rated("a", "heat"), rated("b", "alien"))
    whole = catch_up(learner)
    digests = {name: model.digest() for name, model in whole.models.items()}
    rows = whole.rows.digest()
    for stream in learner._streams:  # as if killed: nothing is committed
        stream.close()
    again = start(log, tmp_path / "checkpoints")
    lane = catch_up(again)
    assert {name: model.digest() for name, model in lane.models.items()} == digests
    assert lane.rows.digest() == rows
    again.commit()
    assert known(lane, "heat") == ({"Crime"}, 1995)
    assert tags_of(lane) == [(0, 2), (10**6 + 1, 2)]
    again.close()


def test_a_record_that_cannot_be_read_is_left_out(
    log: SqliteLog, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nobody_knows_when = Record(b"scary", b'{"item":"scary","title":"Scary","tags":[[-1,"scary"]]}')
    say(
        log,
        Record(b"alien", b"{not json"),
        nobody_knows_when,
        ITEMS[1],
        Record(b"gone", None),
        rated("a", "heat"),
    )
    learner = start(log, tmp_path / "checkpoints")
    lane = catch_up(learner)
    assert known(lane, "heat") == ({"Crime"}, 1995)
    assert [record.levelname for record in caplog.records if "left out" in record.getMessage()] == [
        "WARNING"
    ] * 2
    learner.close()


def test_of_more_tags_than_count_the_first_are_taken(log: SqliteLog, tmp_path: Path) -> None:
    many = tuple(ItemTag(1_000 - n, f"tag {n}") for n in range(MAX_TAGS + 5))
    say(log, ItemMetadata(item="heat", title="Heat", tags=many), rated("a", "heat"))
    learner = start(log, tmp_path / "checkpoints")
    first = 1_000 - (MAX_TAGS + 4)
    assert tags_of(catch_up(learner)) == [(time_ms, 1) for time_ms in range(first, first + MAX_TAGS)]
    learner.close()


def test_without_an_items_topic_nothing_is_known(tmp_path: Path) -> None:
    bare = SqliteLog(tmp_path / "bare.db")
    create_topics(bare, 1)
    say(bare, rated("a", "heat"))
    learner = start(bare, tmp_path / "checkpoints")
    assert known(catch_up(learner), "heat") == (set(), 0)
    learner.close()
    bare.close()


def test_a_forgotten_user_is_gone_from_the_next_checkpoint_and_from_answers(
    log: SqliteLog, tmp_path: Path
) -> None:
    directory = tmp_path / "checkpoints"
    say(log, *ITEMS, rated("alice", "alien"), rated("alice", "heat"), rated("bob", "heat"))
    learner = start(log, directory)
    catch_up(learner)
    learner.commit()
    say(log, rated("alice", "", Kind.FORGET_USER), rated("bob", "heat", Kind.RETRACT), rated("bob", "alien"))
    lane = catch_up(learner)
    learner.commit()
    assert lane.rows.users.find("alice") == -1
    assert lane.accounting(6, 0)["learned"] == 6
    bob = lane.rows.users.find("bob")
    assert int(lane.rows.histories.length[bob]) == 1
    learner.close()
    # Two commits later no file of the checkpoints has the name.
    restarted = start(log, directory)
    for _ in range(2):
        say(log, rated("bob", f"more {next(_seq)}"))
        catch_up(restarted)
        restarted.commit()
    assert not [path for path in directory.rglob("*") if path.is_file() and b"alice" in path.read_bytes()]
    restarted.close()
