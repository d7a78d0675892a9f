"""Weighs closeness to float against time, size and memory. Pure.

Of two candidates that pass, one may still lose more windows, and nobody trades two points of accuracy for 2 % of time.
The expected loss of a candidate therefore has a price: one point, which is one window in a hundred, counts as much as
5 % of the axis that the preference weighs most. The number in a report is the preference alone.

Counts over a hundred windows hardly separate candidates, because a difference of one window is chance. Their errors
do separate them. Small errors flip a share of the windows that grows in proportion to the error. All candidates that
agree in nine windows of ten together estimate that proportion, and each candidate's own count is shrunk towards the
estimate, as if it came from ``_PRIOR_WINDOWS`` more windows (Robbins 1956, "An empirical Bayes approach to
statistics"). On real models with thousands of rows (``docs/search.md``), an order of two candidates from 150 windows
then costs a third to two thirds of the points that it costs by counts alone.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from edge_agent.wire.manifest import Preference
from edge_agent.worker.search.policy import EvaluatedCandidate
from edge_agent.worker.search.preference import WEIGHTS

POINT = 0.05
"""A lost point counts as this fraction of the axis that the preference weighs most."""
_PRIOR_WINDOWS = 100
_FEW = 0.1
"""A candidate that loses a larger share of the windows has large errors and does not inform the estimate."""
_POINTS = 100
_LOUDEST = 100.0
"""Cap of an error, in powers of ten above the signal; anything beyond is equally bad."""


class Shown(NamedTuple):
    """The result of one candidate's pass over the search set."""

    wrong: int
    """Windows in which int8 disagrees with float, or, if labels decide, in which only float is right."""
    windows: int
    error: float | None
    """RMS of the error as a multiple of the signal's; None: unbounded or unknown."""


def with_penalties(tried: Sequence[EvaluatedCandidate], prefer: Preference) -> list[EvaluatedCandidate]:
    """``tried``, each with the penalty for its expected loss."""
    shown = {number: one for number, item in enumerate(tried) if (one := _shown(item)) is not None}
    losses = dict(zip(shown, expected_losses(list(shown.values())), strict=True))
    price = price_of_all(prefer)
    return [
        replace(item, penalty=price * losses[number]) if number in losses else item for number, item in enumerate(tried)
    ]


def price_of_all(prefer: Preference) -> float:
    """The penalty for losing every window, in units of the preference number."""
    return _POINTS * max(WEIGHTS[prefer]) * math.log1p(POINT)


def expected_losses(shown: Sequence[Shown]) -> list[float]:
    """The expected share of lost windows of each candidate, estimated from all of them."""
    most = max((one.windows for one in shown), default=0)
    whole = [one for one in shown if one.windows == most]  # a pass that ended early ended because of its count
    close = [one for one in whole if one.wrong <= _FEW * one.windows] or whole
    known = [(one, one.error) for one in close if one.error is not None]
    errors = math.fsum(one.windows * error for one, error in known)
    tipped = sum(one.wrong for one, _ in known) / errors if errors else 0.0
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
