"""Logarithm and exponential of whole rows of float32, as polynomials: several times faster than one call a number.

Without branches and calls, and each loop of one type, so that the compiler vectorises them; the same bits on every run
of one build. Relative error below 1e-5 (the coefficients are those of Cephes' logf and expf; Moshier 1992).
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

_LN2 = np.float32(0.6931471805599453)
_LOG2_E = np.float32(1.4426950408889634)
_LEAST = np.float32(-87.0)  # exp of it is the least normal float32, about
_ROOT_OF_HALF = np.int32(0x3F3504F3)  # bits of sqrt(1/2): mantissas are taken from there to sqrt(2)
_MANTISSA = np.int32(23)
_BIAS = np.int32(127)


@numba.njit(cache=True)
def log_in_place(x: NDArray[np.float32], known: int, scratch: NDArray[np.float32]) -> None:
    """x[:known] becomes its natural logarithm; x: float32, positive and normal; scratch: float32[known]."""
    bits = x.view(np.int32)
    for i in range(known):
        exponent = (bits[i] - _ROOT_OF_HALF) >> _MANTISSA
        scratch[i] = np.float32(exponent)
        bits[i] -= exponent << _MANTISSA
    for i in range(known):
        z = x[i] - np.float32(1.0)
        p = np.float32(7.0376836292e-2)
        p = p * z - np.float32(1.1514610310e-1)
        p = p * z + np.float32(1.1676998740e-1)
        p = p * z - np.float32(1.2420140846e-1)
        p = p * z + np.float32(1.4249322787e-1)
        p = p * z - np.float32(1.6668057665e-1)
        p = p * z + np.float32(2.0000714765e-1)
        p = p * z - np.float32(2.4999993993e-1)
        p = p * z + np.float32(3.3333331174e-1)
        x[i] = (p * z - np.float32(0.5)) * z * z + z + scratch[i] * _LN2


@numba.njit(cache=True)
def exp_in_place(x: NDArray[np.float32], known: int, scratch: NDArray[np.float32]) -> None:
    """x[:known] becomes its exponential; x: float32, at most 0, and below -87 as good as -87; scratch as above."""
    bits = scratch.view(np.int32)
    for i in range(known):
        t = max(x[i], _LEAST) * _LOG2_E
        whole = np.int32(t - np.float32(0.5))
        x[i] = (t - np.float32(whole)) * _LN2
        bits[i] = (whole + _BIAS) << _MANTISSA
    for i in range(known):
        z = x[i]
        p = np.float32(1.9875691500e-4)
        p = p * z + np.float32(1.3981999507e-3)
        p = p * z + np.float32(8.3334519073e-3)
        p = p * z + np.float32(4.1665795894e-2)
        p = p * z + np.float32(1.6666665459e-1)
        p = p * z + np.float32(5.0000001201e-1)
        x[i] = (p * z * z + z + np.float32(1.0)) * scratch[i]
