"""What being less close to float counts beside time, size and memory. Pure.

A candidate that passes may still lose more windows than another that passes: nobody wants 2 % of time for two points
of accuracy. So what a candidate is expected to lose has a price: a point, one window in a hundred, counts as much as
5 % of what the preference weighs most. The number that a report shows is the preference alone.

Counts of a hundred windows hardly tell candidates apart: a difference of one window is chance. Their errors do. Where
errors are small, the share of windows that they tip over grows in proportion to them. So all candidates that agree in
nine windows of ten say how many windows an error of that size tips over, and a candidate's own count is shrunk towards
that, as if it were seen on ``_PRIOR_WINDOWS`` more windows (Robbins 1956, "An empirical Bayes approach to statistics").
Measured on real models with thousands of rows (``docs/search.md``): of 150 windows the order of two candidates costs
a third to two thirds of the points that it costs by counts alone.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from edge_agent.wire.manifest import Preference
from edge_agent.worker.search.policy import EvaluatedCandidate
from edge_agent.worker.search.preference import WEIGHTS

POINT = 0.05
"""A point lost counts as this fraction of what the preference weighs most."""
_PRIOR_WINDOWS = 100
_FEW = 0.1
"""Of the windows: a candidate that loses more has no small errors, and says nothing of those that have."""
_POINTS = 100
_LOUDEST = 100.0
"""Powers of ten that an error is louder than the signal at most; beyond is as bad."""


class Shown(NamedTuple):
    """What a pass of the search set showed of one candidate."""

    wrong: int
    """Windows in which it disagrees; where labels decide, in which float is right and it is not."""
    windows: int
    error: float | None
    """RMS of its error as a multiple of the signal's; None: without bound, or not known."""


def with_penalties(tried: Sequence[EvaluatedCandidate], prefer: Preference) -> list[EvaluatedCandidate]:
    """``tried``, with what each one's expected loss adds to its number."""
    shown = {number: told for number, item in enumerate(tried) if (told := _shown(item)) is not None}
    losses = dict(zip(shown, expected_losses(list(shown.values())), strict=True))
    price = price_of_all(prefer)
    return [
        replace(item, penalty=price * losses[number]) if number in losses else item for number, item in enumerate(tried)
    ]


def price_of_all(prefer: Preference) -> float:
    """What losing every window would add to a preference's number."""
    return _POINTS * max(WEIGHTS[prefer]) * math.log1p(POINT)


def expected_losses(shown: Sequence[Shown]) -> list[float]:
    """The share of windows that each candidate is expected to lose, in the light of all of them."""
    most = max((one.windows for one in shown), default=0)
    whole = [one for one in shown if one.windows == most]  # a pass that ended early ended for its count
    close = [one for one in whole if one.wrong <= _FEW * one.windows] or whole
    told = [(one, one.error) for one in close if one.error is not None]
    errors = math.fsum(one.windows * error for one, error in told)
    tipped = sum(one.wrong for one, _ in told) / errors if errors else 0.0
    usual = sum(one.wrong for one in close) / (most * len(close)) if most else 0.0
    return [_shrunk(one, usual if one.error is None else min(tipped * one.error, 1.0)) for one in shown]


def _shrunk(one: Shown, expected: float) -> float:
    return (one.wrong + _PRIOR_WINDOWS * expected) / (one.windows + _PRIOR_WINDOWS)


def _shown(item: EvaluatedCandidate) -> Shown | None:
    record = item.record
    wrong = record.disagreements if item.prospect is None else item.prospect.wrong
    if wrong is None or not record.windows:
        return None
    sqnr = record.sqnr_db
    error = None if sqnr is None or sqnr == -math.inf else 10.0 ** min(-sqnr / 20.0, _LOUDEST)
    return Shown(wrong, record.windows, error)
