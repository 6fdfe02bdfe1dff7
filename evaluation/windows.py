"""Forgetting forms of a rank histogram: sliding windows by events, and fading factors.

Prequential error over all events is pessimistic about a learner that starts cold; both forms forget the beginning.
Gama, Sebastião & Rodrigues (2013), "On evaluating stream learning algorithms", Machine Learning 90(3).

* A sliding window of W events is the histogram of the last W events of the lane, repeats included (at index 0).
* A fading factor a keeps S_i = x_i + a S_(i-1) and N_i = 1 + a N_(i-1), and the measure is S_i / N_i. Both are
  linear in the histogram: so one faded histogram S (float64[22]) holds all measures, N being the sum of its
  ranked part. Repeats neither count nor fade.
"""

from __future__ import annotations

from numba import njit

# A bucket that nothing hits any more would reach denormal numbers after a few hundred thousand events, which are
# slow and mean nothing.
NEGLIGIBLE = 1e-200


@njit(cache=True)
def slide(clipped, ring, position, sizes, histograms):  # type: ignore[no-untyped-def]
    """Slide all windows of one model over a block of events, in order.

    clipped: uint8[n], histogram indices. ring: uint8[C], C >= max(sizes), the clipped ranks of the last C events;
    event i of the lane stands at i % C. position: int64, lane events before this block. sizes: int64[W].
    histograms: int64[W, 22]. ring and histograms are updated.
    """
    capacity = len(ring)
    for i in range(len(clipped)):
        now = position + i
        for window in range(len(sizes)):
            if now >= sizes[window]:
                histograms[window, ring[(now - sizes[window]) % capacity]] -= 1
            histograms[window, clipped[i]] += 1
        ring[now % capacity] = clipped[i]


@njit(cache=True)
def fade(clipped, factors, histograms):  # type: ignore[no-untyped-def]
    """Fade the histograms of one model over a block of events, in order.

    clipped: uint8[n], histogram indices. factors: float64[F] in (0, 1). histograms: float64[F, 22], updated.
    """
    for i in range(len(clipped)):
        if clipped[i] == 0:
            continue
        for f in range(len(factors)):
            for bucket in range(1, histograms.shape[1]):
                faded = histograms[f, bucket] * factors[f]
                histograms[f, bucket] = faded if faded > NEGLIGIBLE else 0.0
            histograms[f, clipped[i]] += 1.0
