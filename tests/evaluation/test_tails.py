"""Tail probabilities against tables and hand calculations."""

from __future__ import annotations

import math

import pytest

from evaluation.tails import Z_95, binomial_two_sided, normal_two_sided, sign_test, student_half_width


def test_the_normal_tail_is_that_of_the_tables() -> None:
    assert normal_two_sided(0.0) == 1.0
    assert normal_two_sided(Z_95) == pytest.approx(0.05, abs=1e-12)
    assert normal_two_sided(-2.575829303548901) == pytest.approx(0.01, abs=1e-12)
    # 2 (1 - .84134), from any table.
    assert normal_two_sided(1.0) == pytest.approx(0.31731, abs=5e-6)


def test_the_binomial_tail_by_hand() -> None:
    # Of 5 coins none or one, and the same on the other side: 2 (1 + 5) / 32.
    assert binomial_two_sided(5, 1) == binomial_two_sided(5, 4) == 12 / 32
    assert binomial_two_sided(0, 0) == 1.0
    assert binomial_two_sided(4, 2) == 1.0
    assert binomial_two_sided(10, 0) == 2 / 1024


def test_the_sign_test_is_exact_below_25_and_corrected_from_there() -> None:
    assert sign_test(20, 4) == binomial_two_sided(24, 4)
    # McNemar with correction: (|40 - 20| - 1)^2 / 60 = 6.0167; the .05 and .01 points of chi-square are 3.84 and 6.63.
    found = sign_test(40, 20)
    assert found == sign_test(20, 40) == normal_two_sided(6.0166666666666667**0.5)
    assert 0.01 < found < 0.05
    assert sign_test(30, 30) == 1.0
    assert sign_test(31, 30) == 1.0
    # Near the exact value where both could be taken.
    assert sign_test(20, 6) == pytest.approx(binomial_two_sided(26, 6), abs=0.003)


def test_the_interval_of_a_few_runs() -> None:
    # 1, 2, 3: standard deviation 1, and 97.5 % of Student's t with 2 degrees of freedom below 4.303.
    assert student_half_width([1.0, 2.0, 3.0]) == pytest.approx(4.303 / math.sqrt(3))
    assert student_half_width([0.5, 0.5]) == 0.0
    # Beyond the table its last value, 2.262 of 9 degrees of freedom, which is wider than the true one.
    assert student_half_width([0.0, 1.0] * 10) == pytest.approx(
        2.262 * math.sqrt(20 * 0.25 / 19) / math.sqrt(20)
    )
    with pytest.raises(ValueError, match="there are 1 values, expected 2 or more"):
        student_half_width([1.0])
