import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.jobs.labelled_rows import pairs_needed
from edge_agent.quant.bounds import (
    agreement_lower,
    allowed_failures,
    allowed_losses,
    chance_of_proof,
    order_statistic_bound,
    refusal_chance,
    regularised_beta,
    student_quantile,
    tango_upper,
    upper_bound,
    windows_enough,
    windows_needed,
)


def at_most(failures: int, n: int, rate: float) -> float:
    """P(X <= failures) for X ~ Bin(n, rate), in exact arithmetic."""
    p = Fraction(rate)
    return float(sum(math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(failures + 1)))


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n - 1), st.just(n))))
def test_upper_bound_is_where_the_binomial_tail_is_five_percent(case: tuple[int, int]) -> None:
    failures, n = case

    assert at_most(failures, n, upper_bound(failures, n)) == pytest.approx(0.05, abs=1e-9)


def test_all_failures_and_no_windows_bound_nothing() -> None:
    assert (upper_bound(7, 7), upper_bound(0, 0)) == (1.0, 1.0)


def test_impossible_counts_are_our_own_bug() -> None:
    with pytest.raises(ValueError, match="4 failures of 3"):
        upper_bound(4, 3)


@settings(deadline=None)
@given(st.floats(0, 50), st.floats(51, 1000), st.floats(1.1, 5))
def test_fractional_counts_prove_less_the_more_windows_resemble_each_other(k: float, n: float, effect: float) -> None:
    assert upper_bound(k / effect, n / effect) > upper_bound(k, n)


def test_the_numbers_that_the_default_gate_is_known_by() -> None:
    assert windows_needed(0.95) == 59
    assert agreement_lower(0, 59) >= 0.95 > agreement_lower(0, 58)
    assert allowed_failures(300, 0.95) == 8
    assert allowed_failures(58, 0.95) == -1
    assert 1 - refusal_chance(300, 0.95, 0.01) == pytest.approx(0.996, abs=5e-4)
    assert 1 - refusal_chance(300, 0.95, 0.05) == pytest.approx(0.034, abs=5e-4)
    assert refusal_chance(40, 0.95) == 1.0


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 60), st.integers(1, 60), st.floats(0.001, 0.999))
def test_regularised_beta_is_the_binomial_tail(a: int, b: int, x: float) -> None:
    assert regularised_beta(x, a, b) == pytest.approx(1 - at_most(a - 1, a + b - 1, x), abs=1e-10)


def test_student_quantile_against_published_tables() -> None:
    assert [round(student_quantile(0.95, degrees), 3) for degrees in (1, 2, 10, 30)] == [6.314, 2.920, 1.812, 1.697]


def test_median_bound_takes_the_order_statistic_of_the_tables() -> None:
    values = [float(value) for value in range(24, 0, -1)]

    assert order_statistic_bound(values[-8:], "upper") == 7
    assert order_statistic_bound(values[-8:], "lower") == 2
    assert order_statistic_bound(values, "upper") == 17
    assert order_statistic_bound(values[:4], "upper") == math.inf
    assert order_statistic_bound(values[:4], "lower") == -math.inf


@pytest.mark.parametrize("n", [5, 8, 16, 24])
def test_median_bound_misses_in_at_most_five_percent(n: int) -> None:
    ranks = [float(rank) for rank in range(1, n + 1)]

    taken = int(order_statistic_bound(ranks, "upper"))

    assert 1 - at_most(taken - 1, n, 0.5) <= 0.05
    assert 1 - at_most(taken - 2, n, 0.5) > 0.05


@pytest.mark.parametrize(("lost", "won", "n"), [(12, 2, 50), (0, 1, 44), (9, 0, 300), (30, 25, 150)])
def test_tango_bound_is_where_the_constrained_score_reaches_the_normal_quantile(lost: int, won: int, n: int) -> None:
    bound = tango_upper(lost, won, n)

    share = most_likely_won_share(lost, won, n, bound)
    error = math.sqrt((2 * share + bound - bound**2) / n)

    assert ((lost - won) / n - bound) / error == pytest.approx(-1.6448536, abs=1e-4)


def most_likely_won_share(lost: int, won: int, n: int, drop: float) -> float:
    """The share of won pairs that makes the data likeliest when the true drop is ``drop``: golden-section search."""

    def likelihood(share: float) -> float:
        terms = ((lost, share + drop), (won, share), (n - lost - won, 1 - 2 * share - drop))
        return sum(count * math.log(max(p, 1e-300)) for count, p in terms if count)

    low, high = max(0.0, -drop), (1 - drop) / 2
    for _ in range(120):
        left, right = high - (high - low) * 0.618034, low + (high - low) * 0.618034
        if likelihood(left) < likelihood(right):
            low = left
        else:
            high = right
    return low


@pytest.mark.parametrize(
    ("rows", "confidence", "most"), [(55, 0.95, 0.053), (88, 0.95, 0.069), (300, 0.95, 0.053), (88, 0.975, 0.027)]
)
def test_how_often_a_drop_that_is_just_too_large_is_proved_not_to_be(rows: int, confidence: float, most: float) -> None:
    """Exactly, as ``docs/verdicts.md`` has it: the default limit, whatever int8 wins."""
    allowed = [allowed_losses(won, rows, 0.03, confidence) for won in range(rows // 3)]

    def accepted(wins: float) -> float:
        loses = 0.03 + wins
        neither = 1.0 - loses - wins
        return math.fsum(
            math.comb(rows, won) * math.comb(rows - won, lost)
            * wins**won * loses**lost * neither ** (rows - won - lost)
            for won, most_lost in enumerate(allowed)
            for lost in range(min(most_lost, rows - won) + 1)
        )  # fmt: skip

    assert max(map(accepted, (0.0, 0.005, 0.02, 0.05, 0.08, 0.1))) <= most


def test_tango_at_its_ends() -> None:
    assert tango_upper(300, 0, 300) == 1.0
    assert tango_upper(0, 0, 0) == 1.0


@pytest.mark.parametrize("limit", [0.01, 0.03, 0.1])
@pytest.mark.parametrize("won", [0, 1])
def test_as_many_pairs_prove_a_drop_where_int8_loses_none_and_one_less_does_not(limit: float, won: int) -> None:
    needed = pairs_needed(limit, won=won)

    assert tango_upper(0, won, needed) <= limit + 1e-9
    assert tango_upper(0, won, needed - 1) > limit


@settings(deadline=None)
@given(st.integers(0, 100), st.integers(0, 100), st.integers(200, 2000))
def test_tango_bounds_hold_the_difference_between_them(lost: int, won: int, n: int) -> None:
    assert -tango_upper(won, lost, n) <= (lost - won) / n <= tango_upper(lost, won, n)


@pytest.mark.parametrize("n", [100, 300])
@pytest.mark.parametrize("won", [0.0, 0.005, 0.02])
def test_tango_accepts_a_drop_at_the_limit_about_one_time_in_twenty(n: int, won: float) -> None:
    lost = won + 0.03

    chance = sum(
        multinomial(n, k, j, lost, won) for k in range(n // 4) for j in range(n // 8) if tango_upper(k, j, n) <= 0.03
    )

    assert chance <= 0.07


def multinomial(n: int, k: int, j: int, lost: float, won: float) -> float:
    """P(k lost and j won pairs of n)."""
    if j and not won:
        return 0.0
    log = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(j + 1) - math.lgamma(n - k - j + 1)
    log += k * math.log(lost) + (j * math.log(won) if j else 0.0) + (n - k - j) * math.log1p(-lost - won)
    return math.exp(log)


@pytest.mark.parametrize(("failures", "windows", "more"), [(0, 150, 300), (2, 150, 300), (6, 133, 400), (1, 20, 200)])
def test_the_chance_of_a_proof_is_how_often_one_follows(failures: int, windows: int, more: int) -> None:
    rng = np.random.default_rng(failures)
    shares = rng.beta(failures + 0.5, windows - failures + 0.5, 40_000)  # what the first windows leave possible
    proved = rng.binomial(more, shares) <= allowed_failures(more, 0.95)

    assert chance_of_proof(failures, windows, more, 0.95) == pytest.approx(proved.mean(), abs=0.01)


def test_no_chance_where_nothing_could_be_proved() -> None:
    assert chance_of_proof(0, 100, 20, 0.95) == 0.0


@settings(deadline=None, max_examples=40)
@given(st.floats(0.5, 0.99), st.floats(0, 1), st.integers(20, 1000))
def test_enough_windows_are_the_fewest_that_prove_it(limit: float, part: float, n: int) -> None:
    share = 0.9 * part * (1 - limit)

    enough = windows_enough(share * n, n, limit)

    assert enough is not None
    assert agreement_lower(share * enough, enough) >= limit
    assert enough == 1 or agreement_lower(share * (enough - 1), enough - 1) < limit


@pytest.mark.parametrize(("disagreements", "windows"), [(0, 59), (1, 93), (2, 124), (3, 153)])
def test_enough_windows_are_those_of_the_tables_of_sample_sizes(disagreements: int, windows: int) -> None:
    assert windows_enough(disagreements, windows, 0.95) == windows
    assert windows_enough(10 * disagreements, 10 * windows, 0.95) == windows


@pytest.mark.parametrize("disagreements", [15, 16, 300])
def test_no_number_of_windows_proves_what_is_not_so(disagreements: int) -> None:
    assert windows_enough(disagreements, 300, 0.95) is None


@pytest.mark.parametrize("confidence", [0.95, 0.975])
@pytest.mark.parametrize("won", [0, 1, 5])
def test_losses_that_are_allowed_are_those_that_the_bound_excludes(won: int, confidence: float) -> None:
    allowed = allowed_losses(won, 300, 0.03, confidence)

    assert tango_upper(allowed, won, 300, confidence) <= 0.03 < tango_upper(allowed + 1, won, 300, confidence)
    assert allowed_losses(0, 50, 0.03) == -1
