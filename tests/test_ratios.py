"""`benchmarks/ratios.py`: what counts as moved, its history, and that its workloads do the same work each time."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.ratios import Measured, append, last_of, measure, moved, report
from benchmarks.workloads import WORKLOADS, append_and_read, decode_packs, events


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        ((1.0, 0.9, 1.1), (1.3, 1.2, 1.4), True),
        ((1.0, 0.9, 1.1), (0.8, 0.7, 0.85), True),
        ((1.0, 0.9, 1.3), (1.25, 1.2, 1.4), False),  # ranges meet
        ((1.0, 0.99, 1.01), (1.05, 1.04, 1.06), False),  # apart, and within a tenth
    ],
)
def test_moved_is_beyond_the_ranges_and_a_tenth(
    before: tuple[float, float, float], now: tuple[float, float, float], said: bool
) -> None:
    assert moved(Measured(*before), Measured(*now)) is said


def test_a_ratio_is_the_median_of_rounds_over_the_reference_beside_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter([0.0, 2.0, 10.0, 13.0, 20.0, 30.0])
    monkeypatch.setattr("time.process_time", lambda: next(clock))
    references = iter([99.0, 1.0, 1.0, 2.0])  # the first is not counted
    found = measure({"one": lambda: lambda: None}, 3, lambda: next(references))
    assert found == {"one": Measured(3.0, 2.0, 5.0)}


def test_the_history_is_compared_by_processor(tmp_path: Path) -> None:
    history = tmp_path / "history.csv"
    assert last_of(history, "a") == {}
    append(history, "a", {"one": Measured(1.0, 0.9, 1.1)}, 5)
    append(history, "b", {"one": Measured(9.0, 8.0, 10.0)}, 5)
    append(history, "a", {"one": Measured(2.0, 1.9, 2.1)}, 5)
    assert last_of(history, "a") == {"one": Measured(2.0, 1.9, 2.1)}
    assert len(history.read_text("utf-8").splitlines()) == 4
    said = report(last_of(history, "a"), {"one": Measured(1.0, 0.9, 1.1), "new": Measured(1.0, 1.0, 1.0)})
    assert said[-1] == "one is 50% quicker: 2.000 to 1.000"


def test_workloads_are_seeded_and_run() -> None:
    (block,) = events(512)
    assert sorted(set(block.ratings.tolist())) == [1.0, 2.0, 3.0, 4.0, 5.0]
    events.cache_clear()
    (again,) = events(512)
    assert again.users.tolist() == block.users.tolist()
    assert again.items.tolist() == block.items.tolist()
    decode_packs(512, 1)()
    append_and_read(512, 1)()


@pytest.mark.full
@pytest.mark.parametrize("name", WORKLOADS)
def test_every_workload_can_be_measured(name: str) -> None:
    assert measure({name: WORKLOADS[name]}, 1)[name].ratio > 0
