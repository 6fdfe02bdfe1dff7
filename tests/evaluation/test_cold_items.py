"""Ranks of items never seen before, among the whole catalogue."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.cold_items import ColdRanking, cold_figures
from tests.oracles.ranking_oracle import mean_figures

pytestmark = pytest.mark.oracle

NEW = np.array([1, 0, 1, 1, 0, 1, 1], bool)
RANKS = np.array([3, 0, 0, 40, 0, 1, 20], np.int32)


def test_figures_are_over_what_was_said_and_say_how_much_that_is() -> None:
    state = ColdRanking(["content"])
    state.check({"content": RANKS}, NEW)
    state.update({"content": RANKS}, NEW, 3)
    found = cold_figures([state], 0, "content")
    assert found is not None
    assert (found["new_items"], found["said"]) == (5, 4)
    assert found["figures"] == pytest.approx(mean_figures([3, 40, 1, 20]))
    late = cold_figures([state], 1, "content")
    assert late is not None
    assert (late["new_items"], late["said"]) == (3, 3)
    assert late["figures"] == pytest.approx(mean_figures([40, 1, 20]))


def test_a_model_that_says_nothing_has_no_figures() -> None:
    state = ColdRanking(["content"])
    state.update({"content": np.zeros(7, np.int32)}, NEW, 0)
    assert cold_figures([state], 0, "content") == {"new_items": 5, "said": 0, "figures": None}
    assert cold_figures([state], 0, "other") is None


def test_lanes_add_up_and_any_cut_is_the_same() -> None:
    whole, cut = ColdRanking(["content"]), ColdRanking(["content"])
    whole.update({"content": RANKS}, NEW, 3)
    lanes = []
    for start, end in ((0, 2), (2, 4), (4, 7)):
        part, new = {"content": RANKS[start:end]}, NEW[start:end]
        cut.update(part, new, max(0, 3 - start))
        lanes.append(ColdRanking(["content"]))
        lanes[-1].update(part, new, max(0, 3 - start))
    assert cut.histograms.tobytes() == whole.histograms.tobytes()
    assert cold_figures(lanes, 0, "content") == cold_figures([whole], 0, "content")


@pytest.mark.parametrize(
    ("ranks", "message"),
    [
        ({"other": [1]}, r"of models \['other'\], expected \['content'\]"),
        ({"content": [1, 1]}, "2 cold ranks, expected 1"),
        ({"content": [-1]}, "cold rank -1 to event 0"),
    ],
)
def test_bad_ranks_are_named(ranks: dict[str, list[int]], message: str) -> None:
    columns = {name: np.array(of, np.int32) for name, of in ranks.items()}
    with pytest.raises(ValueError, match=message):
        ColdRanking(["content"]).check(columns, np.ones(1, bool))


def test_only_a_new_item_has_a_cold_rank() -> None:
    with pytest.raises(ValueError, match=r"cold rank 4 to event 0 of the block .new item: False."):
        ColdRanking(["content"]).check({"content": np.array([4], np.int32)}, np.zeros(1, bool))
