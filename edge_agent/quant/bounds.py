"""Exact one-sided confidence bounds for a few hundred windows, from the standard library alone.

* share of failures: Clopper & Pearson (1934), "The use of confidence or fiducial limits illustrated in the case of
  the binomial", Biometrika 26. As a quantile of the beta distribution it also accepts the fractional counts that result
  from a design effect (Korn & Graubard 1998, "Confidence intervals for proportions with small expected number of
  positive counts estimated from survey data", Survey Methodology 24).
* difference of two paired shares: Tango (1998), "Equivalence test and confidence interval for the difference in
  proportions for the paired-sample design", Statistics in Medicine 17. A score interval: its coverage is close to the
  nominal level, but may be below it (``tests/quant/test_bounds.py`` holds it to 7 %).
* median: order statistics, e.g. David & Nagaraja (2003), "Order Statistics", section 7.1; distribution-free.

Every bound is one-sided at 95 % by default. The bounds never raise for possible counts. An impossible count (more
failures than windows) is a bug of the caller and raises ``ValueError``.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache
from statistics import NormalDist
from typing import Literal

CONFIDENCE = 0.95
_ITERATIONS = 500
_EPSILON = 1e-15
_TINY = 1e-300
_ROUNDING = 1e-9
"""Tolerance for rounding: 15 of 300 are 5 %, and 1 - 0.95 is slightly more."""


def _bisect(increasing: Callable[[float], float], target: float, low: float, high: float) -> float:
    """The point in [low, high] where ``increasing`` reaches ``target``, to float precision."""
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if increasing(middle) < target:
            low = middle
        else:
            high = middle
    return high


def _beta_fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of the incomplete beta function (DLMF 8.17.22), by Lentz's method."""
    c, d = 1.0, 1.0 / _away_from_zero(1.0 - (a + b) * x / (a + 1.0))
    value = d
    for m in range(1, _ITERATIONS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1.0 / _away_from_zero(1.0 + even * d)
        c = _away_from_zero(1.0 + even / c)
        value *= d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1.0 / _away_from_zero(1.0 + odd * d)
        c = _away_from_zero(1.0 + odd / c)
        value *= d * c
        if abs(d * c - 1.0) < _EPSILON:
            break
    return value


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def regularised_beta(x: float, a: float, b: float) -> float:
    """I_x(a, b), the distribution function of Beta(a, b) at ``x`` (DLMF 8.17.2)."""
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    if x < (a + 1.0) / (a + b + 2.0):
        return front * _beta_fraction(x, a, b) / a
    return 1.0 - front * _beta_fraction(1.0 - x, b, a) / b


@cache
def student_quantile(confidence: float, degrees: int) -> float:
    """Student's t quantile, above the median, for ``degrees`` degrees of freedom (DLMF 8.17 and Student 1908)."""
    x = _bisect(lambda x: regularised_beta(x, degrees / 2.0, 0.5), 2.0 * (1.0 - confidence), 0.0, 1.0)
    return math.sqrt(degrees * (1.0 - x) / x)


def upper_bound(failures: float, n: float, confidence: float = CONFIDENCE) -> float:
    """The largest share of failures that ``failures`` of ``n`` do not contradict (Clopper-Pearson, one-sided).

    Both may be fractional (counts divided by a design effect). ``n`` = 0 proves nothing: the bound is 1.
    """
    if not 0 <= failures <= n:
        raise ValueError(f"{failures} failures of {n}")
    if n - failures <= 0:
        return 1.0
    return _bisect(lambda p: regularised_beta(p, failures + 1.0, n - failures), confidence, 0.0, 1.0)


def agreement_lower(disagreements: float, n: float, confidence: float = CONFIDENCE) -> float:
    """The agreement that ``disagreements`` of ``n`` prove: one minus the upper bound of the disagreeing share."""
    return 1.0 - upper_bound(disagreements, n, confidence)


def windows_needed(limit: float, confidence: float = CONFIDENCE) -> int:
    """The fewest independent windows that prove an agreement of ``limit`` (< 1) when every window agrees."""
    return math.ceil(math.log(1.0 - confidence) / math.log(limit) - 1e-9)


def allowed_failures(n: float, limit: float, *, per_window: float = 1.0, confidence: float = CONFIDENCE) -> int:
    """The most windows that may disagree for ``n`` effective windows to prove ``limit``; -1 if even zero is too many.

    Args:
        n: effective windows.
        limit: the agreement to prove, below 1.
        per_window: weight of one window (1 / design effect).
        confidence: confidence of the bound.
    """
    allowed = -1
    while _proves((allowed + 1) * per_window, n, limit, confidence):
        allowed += 1
    return allowed


def _proves(failures: float, n: float, limit: float, confidence: float) -> bool:
    """Whether :func:`agreement_lower` reaches ``limit``, without computing its value."""
    return failures < n and regularised_beta(1.0 - limit, failures + 1.0, n - failures) >= confidence


def chance_of_proof(failures: float, windows: float, more: int, limit: float, confidence: float = CONFIDENCE) -> float:
    """The chance that ``more`` independent windows prove ``limit``, after ``failures`` of ``windows`` others disagreed.

    The observed counts may be fractional, after a design effect; ``confidence`` is that of the proof.

    The predictive distribution of a binomial share without other knowledge: beta-binomial with Jeffreys' prior
    (Gelman et al. (2013), "Bayesian Data Analysis", 3rd ed., sections 2.4 and 2.8).
    """
    a, b = failures + 0.5, windows - failures + 0.5

    def log_beta(x: float, y: float) -> float:
        return math.lgamma(x) + math.lgamma(y) - math.lgamma(x + y)

    def likelihood(count: int) -> float:
        ways = -log_beta(count + 1, more - count + 1) - math.log(more + 1)
        return math.exp(ways + log_beta(count + a, more - count + b) - log_beta(a, b))

    return math.fsum(likelihood(count) for count in range(allowed_failures(more, limit, confidence=confidence) + 1))


def windows_enough(disagreements: float, n: float, limit: float, confidence: float = CONFIDENCE) -> int | None:
    """The fewest independent windows that prove ``limit`` if their share of disagreements is ``disagreements / n``.

    None: at that share no number of windows is a proof.
    """
    share = disagreements / n
    if share >= 1.0 - limit - _ROUNDING:
        return None
    most = windows_needed(limit, confidence)
    while agreement_lower(share * most, most, confidence) < limit:
        most *= 2
    least = most // 2
    while most - least > 1:
        middle = (least + most) // 2
        proved = agreement_lower(share * middle, middle, confidence) >= limit
        least, most = (least, middle) if proved else (middle, most)
    return most


def refusal_chance(n: int, limit: float, rate: float = 0.01) -> float:
    """The chance that a model with a true disagreement rate of ``rate`` fails to prove ``limit`` on ``n`` windows."""
    allowed = allowed_failures(n, limit)
    if allowed < 0:
        return 1.0
    return regularised_beta(rate, allowed + 1.0, n - allowed)


def order_statistic_bound(
    values: Sequence[float], side: Literal["upper", "lower"], confidence: float = CONFIDENCE
) -> float:
    """An exact one-sided bound of the median of the distribution of ``values``.

    The j-th smallest of n values lies at or above the median with probability P(Bin(n, 1/2) < j); the bound takes the
    smallest j that reaches ``confidence``. At 95 % this needs five values; with fewer the bound is infinite.
    """
    n, below = len(values), 0
    for j in range(1, n + 1):
        below += math.comb(n, j - 1)
        if below >= confidence * 2**n:
            return sorted(values)[j - 1] if side == "upper" else sorted(values)[n - j]
    return math.inf if side == "upper" else -math.inf


def _tango_score(lost: float, won: float, n: float, delta: float) -> float:
    """Tango's score statistic: distance of the observed difference above ``delta``, in standard errors."""
    b = (2.0 * n - lost + won) * delta - lost - won
    c = -won * delta * (1.0 - delta)
    won_share = (math.sqrt(max(0.0, b * b - 8.0 * n * c)) - b) / (4.0 * n)
    variance = n * (2.0 * won_share + delta * (1.0 - delta))
    difference = lost - won - n * delta
    if variance <= 0.0:
        return math.copysign(math.inf, difference) if difference else 0.0
    return difference / math.sqrt(variance)


def tango_upper(lost: float, won: float, n: float, confidence: float = CONFIDENCE) -> float:
    """The largest drop in accuracy that the pairs do not contradict, one-sided.

    Args:
        lost: pairs where float is right and int8 is wrong.
        won: pairs where float is wrong and int8 is right.
        n: number of pairs; counts may be fractional (divided by a design effect). 0 proves nothing: the bound is 1.
        confidence: confidence of the bound.
    """
    if min(lost, won) < 0 or lost + won > n * (1 + 1e-12):
        raise ValueError(f"{lost} + {won} discordant pairs of {n}")
    if n <= 0:
        return 1.0
    z = NormalDist().inv_cdf(confidence)
    return _bisect(lambda delta: -_tango_score(lost, won, n, delta), z, (lost - won) / n, 1.0)


def allowed_losses(won: int, n: int, limit: float, confidence: float = CONFIDENCE) -> int:
    """The most of ``n`` pairs that may be lost, with ``won`` pairs won, to exclude a drop above ``limit``.

    -1 if even zero is too many.
    """
    z = NormalDist().inv_cdf(confidence)
    lost = -1
    while n and lost + 1 + won <= n and _tango_score(lost + 1, won, n, limit) <= -z:
        lost += 1
    return lost
