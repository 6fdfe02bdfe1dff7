"""What has been taken already, against sets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.sequences import Sequences
from eventlog.decode import decode
from eventlog.event_checks import Limits
from eventlog.events import EventBatch
from tests.oracles.sequences_oracle import SequencesOracle
from tests.record_batches import batch_of, json_event

pytestmark = pytest.mark.oracle

PARTITIONS = 3
WINDOW = 4

# (source, or None for an event with a key; partition; sequence; key)
IDENTITIES = st.tuples(
    st.sampled_from(["a", "b", None]),
    st.integers(0, PARTITIONS - 1),
    st.integers(0, 9),
    st.sampled_from("klmnopq"),
)


def events_of(identities: list[tuple[str | None, int, int, str]]) -> EventBatch:
    parts = []
    for source, partition, seq, key in identities:
        identity = {"source_id": source, "source_seq": seq} if source else {"source_id": ..., "key": key}
        parts.append(decode(batch_of([json_event(**identity)], partition), Limits()).events)
    return EventBatch.concat(parts)


@settings(max_examples=60, deadline=None)
@given(
    blocks=st.lists(st.lists(IDENTITIES, max_size=12), max_size=5),
    restored_at=st.integers(0, 5),
)
def test_fresh_events_are_those_of_sets(
    blocks: list[list[tuple[str | None, int, int, str]]], restored_at: int
) -> None:
    sequences, oracle = Sequences(PARTITIONS, WINDOW), SequencesOracle(WINDOW)
    for number, block in enumerate(blocks):
        if number == restored_at:
            arrays, meta = sequences.arrays(), sequences.meta()
            sequences = Sequences(PARTITIONS, WINDOW)
            sequences.restore(arrays, meta)
        expected = [
            oracle.fresh(source, partition, seq, None if source else key)
            for source, partition, seq, key in block
        ]
        assert sequences.fresh(events_of(block)).tolist() == expected
    highest: dict[str, int] = {}
    for (source, _), taken in oracle.taken.items():
        highest[source] = max(taken | {highest.get(source, -1)})
    assert sequences.last == highest
    assert len(sequences.arrays()["keys"]) == len(oracle.keys) <= WINDOW


def test_a_key_is_forgotten_after_the_window() -> None:
    """Keys k, l, m, n, o through a window of four: k may come again, l to o may not."""
    sequences = Sequences(1, WINDOW)
    assert sequences.fresh(events_of([(None, 0, 0, key) for key in "klmno"])).all()
    assert sequences.fresh(events_of([(None, 0, 0, key) for key in "lmno"])).tolist() == [False] * 4
    assert sequences.fresh(events_of([(None, 0, 0, "k")])).tolist() == [True]


def test_the_oldest_key_is_still_the_first_to_go_after_a_restore() -> None:
    first, second = Sequences(1, WINDOW), Sequences(1, WINDOW)
    first.fresh(events_of([(None, 0, 0, key) for key in "klmn"]))
    second.restore(first.arrays(), first.meta())
    assert second.fresh(events_of([(None, 0, 0, key) for key in "opmn"])).tolist() == [
        True,
        True,
        False,
        False,
    ]
    assert second.fresh(events_of([(None, 0, 0, key) for key in "kl"])).all()


def test_a_source_counts_on_each_partition_for_itself() -> None:
    sequences = Sequences(PARTITIONS, WINDOW)
    assert sequences.fresh(events_of([("a", 0, 5, ""), ("a", 1, 3, ""), ("a", 0, 5, "")])).tolist() == [
        True,
        True,
        False,
    ]
    assert sequences.last == {"a": 5}


def test_a_restored_state_shares_no_memory_with_what_was_saved() -> None:
    first, second = Sequences(1), Sequences(1)
    first.fresh(events_of([("a", 0, 1, "")]))
    arrays = first.arrays()
    second.restore(arrays, first.meta())
    second.fresh(events_of([("a", 0, 8, "")]))
    assert first.last == {"a": 1}
    assert np.array_equal(arrays["last"], [[1]])
