"""Drift detectors: River's notice the same, a restored one goes on as the whole one, and two cases by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from online_models.drift import Adwin, AdwinConfig, Change, DriftDetector, PageHinkley, PageHinkleyConfig

pytestmark = pytest.mark.oracle

ADWINS = [AdwinConfig(), AdwinConfig(0.002, 5, 10), AdwinConfig(0.2, 1, 1)]
PAGE_HINKLEYS = [
    PageHinkleyConfig(),
    PageHinkleyConfig(2.0, 100.0, 1.0, 30),
    PageHinkleyConfig(0.5, 20.0, 0.9999, 10),
    PageHinkleyConfig(0.0, 30.0, 0.99, 1),
]
MAKES: list[Callable[[], DriftDetector]] = [Adwin, PageHinkley]


def steps(seed: int) -> NDArray[np.float64]:
    """Hits of blocks of 256 events whose chance changes now and then."""
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [rng.binomial(256, chance, rng.integers(20, 400)) for chance in rng.uniform(0.02, 0.5, 12)]
    ).astype(np.float64)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("config", ADWINS)
def test_adwin_is_that_of_river(config: AdwinConfig, seed: int) -> None:
    drift = pytest.importorskip("river.drift")
    ours = Adwin(config)
    theirs = drift.ADWIN(config.delta, 1, 5, config.min_part, config.grace)
    found = 0
    for value in steps(seed):
        change = ours.update(value)
        theirs.update(value)
        assert (change is not None) == theirs.drift_detected
        found += change is not None
    assert found > 3


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("config", PAGE_HINKLEYS)
def test_page_hinkley_is_that_of_river(config: PageHinkleyConfig, seed: int) -> None:
    drift = pytest.importorskip("river.drift")
    ours = PageHinkley(config)
    theirs = drift.PageHinkley(config.grace, config.delta, config.threshold, config.alpha, "both")
    found = 0
    for value in steps(seed):
        change = ours.update(value)
        theirs.update(value)
        assert (change is not None) == theirs.drift_detected
        found += change is not None
    assert found > 3


@pytest.mark.parametrize("make", MAKES)
def test_a_restored_detector_goes_on_as_the_whole_one(make: Callable[[], DriftDetector]) -> None:
    whole, values = make(), steps(4)
    expected = [whole.update(value) for value in values]
    assert any(expected)
    found: list[Change | None] = []
    part = make()
    for at, value in enumerate(values):
        found.append(part.update(value))
        if at % 7 == 0:
            saved = {name: array.copy() for name, array in part.arrays().items()}
            part = make()
            part.restore(saved)
    assert found == expected
    for name, array in whole.arrays().items():
        assert array.tobytes() == part.arrays()[name].tobytes()


@pytest.mark.parametrize("make", MAKES)
def test_numbers_that_do_not_change_are_no_change(make: Callable[[], DriftDetector]) -> None:
    detector = make()
    assert not any(detector.update(13.0) for _ in range(2_000))


def test_page_hinkley_by_hand() -> None:
    """Ten zeros and then tens: the mean is 10/11, 20/12; deviations 100/11, 25/3 less 1 each: 8.09, 15.42 > 15."""
    detector = PageHinkley(PageHinkleyConfig(delta=1.0, threshold=15.0, alpha=1.0, grace=1))
    assert [detector.update(0.0) for _ in range(10)] == [None] * 10
    assert detector.update(10.0) is None
    # The sum is least after the last zero.
    assert detector.update(10.0) == Change(before=0.0, after=10.0, since=2)
    assert detector.update(10.0) is None


def test_adwin_by_hand() -> None:
    """Forty zeros and then hundreds, with delta = .02 and parts of five numbers at least.

    After five: n = 45, v = 100^2 (5/45) (40/45) = 987.7, d = ln(2 ln(45) / .02) = 5.942. The cut before the last seven,
    whose mean is 71.4: 1 / m = 1/34 + 1/3 = .3627, and the bound is 65.2 + 1.4 = 66.7, exceeded by a factor of 1.071.
    Before the last 6, 8 and 9 it is 83.3 / 80.9 = 1.030, 62.5 / 58.5 = 1.068 and 55.6 / 53.0 = 1.048.
    After four: n = 44, v = 826.4, d = 5.936; before the last 6, 7, 8 and 10: 66.7 < 74.1, 57.1 < 61.2, 50.0 < 53.6 and
    40.0 < 45.1.
    """
    detector = Adwin(AdwinConfig(delta=0.02, min_part=5, grace=10))
    assert [detector.update(0.0) for _ in range(40)] == [None] * 40
    assert [detector.update(100.0) for _ in range(4)] == [None] * 4
    assert detector.update(100.0) == Change(before=0.0, after=500.0 / 7, since=7)
    assert detector.update(0.0) is None


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: AdwinConfig(delta=0.0), "delta"),
        (lambda: AdwinConfig(min_part=0), "min_part"),
        (lambda: PageHinkleyConfig(threshold=0.0), "threshold"),
        (lambda: PageHinkleyConfig(alpha=1.5), "alpha"),
    ],
)
def test_a_parameter_out_of_range_is_named(make: Callable[[], object], field: str) -> None:
    with pytest.raises(ValueError, match=f"{field} is"):
        make()
