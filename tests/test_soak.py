"""The soak's arithmetic."""

from __future__ import annotations

import pytest

from benchmarks.soak import Sample
from benchmarks.soak_chart import WARM_S, memory_slope


def test_the_slope_is_that_within_lives_and_without_their_beginnings() -> None:
    samples = []
    for life, base in ((1, 100.0), (2, 300.0)):  # the second life starts higher, and that is no growth
        for step in range(8):
            at_s = life * 1000 + step * WARM_S / 2
            learned = (life * 10 + step) * 1e6
            warm = 50.0 * step if step < 2 else 0.0  # steep, and left out
            mib = base + 2.5 * step + warm
            samples.append(Sample(at_s=at_s, learned=learned, mib={"learner": mib}, life={"learner": life}))
    assert memory_slope(samples, "learner") == pytest.approx(2.5)
    assert memory_slope(samples, "producer") is None
