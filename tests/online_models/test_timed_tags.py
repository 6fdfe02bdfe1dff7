"""Tags in order of time, and what of them is known at a moment, against lists that are counted anew."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from online_models.tag_taste import move_to, tag_scratch
from online_models.timed_tags import TagStore, hash_of

pytestmark = pytest.mark.oracle

Said = dict[int, list[tuple[int, str]]]


def random_tags(seed: int, entries: int, most: int) -> Said:
    rng = np.random.default_rng(seed)
    return {
        entry: [(int(rng.integers(0, 50)), f"tag {rng.integers(0, 9)}") for _ in range(rng.integers(0, most))]
        for entry in range(1, entries)
    }


def token_of(store: TagStore, text: str) -> int:
    """Dense number of a text."""
    return int(np.flatnonzero(np.unique(store.arrays()["token"]) == hash_of(text))[0])


def known_before(said: Said, time_ms: int) -> tuple[Counter[int], Counter[str]]:
    """How many tags each entry has, and how often each text was given, before `time_ms`."""
    known = [(entry, text) for entry, tags in said.items() for at, text in tags if at < time_ms]
    return Counter(entry for entry, _ in known), Counter(text for _, text in known)


def test_lists_of_entries_and_of_tags_are_in_order_of_time() -> None:
    """By hand: entry 1 was called dark at 5 and slow at 3, entry 3 dark at 4; entry 2 has no tags."""
    store = TagStore()
    store.say({1: [(5, "dark"), (3, "slow")], 3: [(4, "dark")]})
    tags = store.view(4)
    assert tags.time_ms.tolist() == [3, 4, 5]
    assert tags.entry.tolist() == [1, 3, 1]
    slow, dark = int(tags.token[0]), int(tags.token[1])
    assert tags.token.tolist() == [slow, dark, dark]
    assert sorted((slow, dark)) == [0, 1]
    assert tags.entry_start.tolist() == [0, 0, 2, 2, 3]
    assert tags.of_entry.tolist() == [slow, dark, dark]
    assert tags.of_token[tags.token_start[dark] : tags.token_start[dark + 1]].tolist() == [3, 1]
    assert tags.of_token[tags.token_start[slow] : tags.token_start[slow + 1]].tolist() == [1]


@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_known_is_what_was_given_before_wherever_one_comes_from(seed: int) -> None:
    said = random_tags(seed, 12, 8)
    store = TagStore()
    store.say(said)
    tags = store.view(12)
    scratch = tag_scratch(tags)
    number = {text: token_of(store, text) for given in said.values() for _, text in given}
    for time_ms in (0, 10, 10, 51, 7, 30, 29, 0, 50, 51):
        of_entry, of_text = known_before(said, time_ms)
        assert move_to(tags, scratch, time_ms) == of_entry.total()
        assert scratch.of_entry.tolist() == [of_entry[entry] for entry in range(12)]
        assert {text: int(scratch.of_token[token]) for text, token in number.items()} == {
            text: of_text[text] for text in number
        }


def test_case_and_white_space_make_no_other_tag_and_a_blank_is_none() -> None:
    store = TagStore()
    store.say({1: [(1, "Space Opera"), (2, "  space \t opera "), (3, "SPACE OPERA"), (4, " \n"), (5, "")]})
    assert len(store) == 3
    assert set(store.view(2).token.tolist()) == {0}
    store.say({1: [(1, "STRASSE"), (2, "straße"), (3, "space-opera")]})
    assert store.view(2).token.tolist()[0] == store.view(2).token.tolist()[1]
    assert len(set(store.view(2).token.tolist())) == 2


def test_how_the_topic_is_cut_into_batches_makes_no_difference() -> None:
    said = random_tags(3, 20, 6)
    said[4] = [(7, "one"), (7, "two"), (7, "one")]
    whole, cut = TagStore(), TagStore()
    whole.say(said)
    for entry in (0, *reversed(said)):
        cut.say({entry: [(7, "taken back later")]})
        cut.say({entry: said.get(entry, [])})
    assert {name: array.tolist() for name, array in cut.arrays().items()} == {
        name: array.tolist() for name, array in whole.arrays().items()
    }
    tags = cut.view(20)
    one, two = token_of(cut, "one"), token_of(cut, "two")
    assert tags.of_entry[tags.entry_start[4] : tags.entry_start[5]].tolist() == [one, two, one]


def test_it_is_restored_and_the_view_changes_only_with_the_tags() -> None:
    store, again = TagStore(), TagStore()
    store.say(random_tags(4, 9, 5))
    arrays = {name: array.copy() for name, array in store.arrays().items()}
    again.restore(arrays)
    for array in arrays.values():
        array.fill(0)  # what was given is not kept
    for mine, its in zip(store.view(9), again.view(9), strict=True):
        assert mine.tolist() == its.tolist()
        assert mine.dtype == its.dtype
    assert again.state_bytes == store.state_bytes
    before = store.view(9)
    store.say({})
    assert store.view(9) is before
    store.say({5: [(1, "new")]})
    assert store.view(9) is not before
    assert len(store.view(10).entry_start) == 11
