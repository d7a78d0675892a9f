"""What to try, in which order, what is best, and what to say if nothing is. Pure: no file, no model, no clock.

A candidate's *structure* is all that its speed depends on: which operators are int8, per channel or per tensor, which
layers stay float. Its range method changes numbers only. So latency is screened once a structure, the fastest
structure is scored first, and a structure that is slower than one that already passes is not scored at all: no
faster candidate can be.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge_agent.backends import CandidateSpec
from edge_agent.errors import RecipeError
from edge_agent.wire.manifest import Recipe
from edge_agent.worker.result import Record

RANGE_METHODS = ("mse", "percentile", "minmax")
"""What ``auto`` tries, in this order: the one that most often is the best first, as the budget may end early. Entropy
is tried where it is asked for by name."""

SAME_SPEED = 0.03
"""Screened ratios closer than this fraction are one speed: one process spreads about that much."""

SCREEN_SLACK = 1.1
"""A screened ratio up to this multiple of the gate still earns the full statistic, which decides."""

_SPEED_CODES = ("latency_too_high", "latency_inconclusive", "too_noisy")

Structure = tuple[str, tuple[str, ...], bool, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Tried:
    """A candidate that was rewritten, screened and scored on the search set (or failed at one of these)."""

    spec: CandidateSpec
    record: Record
    passed: bool
    """Every gate of the search set; at speed the screen needs only to come near."""


def structure(spec: CandidateSpec) -> Structure:
    """What the candidate's speed depends on."""
    return spec.method, spec.operators, spec.per_channel, spec.float_layers


def check_recipe(recipe: Recipe) -> None:
    """Raise ``RecipeError`` (``recipe_unsupported``) for a method or a range method that is not available."""
    if recipe.method not in ("auto", "static"):
        raise RecipeError(
            "recipe_unsupported", f"method {recipe.method!r} is not available here; use method auto or static"
        )


def range_methods(recipe: Recipe) -> tuple[str, ...]:
    """The range methods that may be tried, in this order."""
    return RANGE_METHODS if recipe.calibration == "auto" else (recipe.calibration,)


def plan(recipe: Recipe, core: Sequence[str], present: Iterable[str]) -> list[CandidateSpec]:
    """The candidates of a recipe: {every operator, core only} x range methods, per channel.

    Args:
        recipe: what may be tried; a named calibration tries only that one.
        core: the operator types of this format that carry the work (convolutions, matrix products).
        present: the operator types of this model's quantizable layers; if all are core, both sets are one.

    Raises:
        RecipeError: ``recipe_unsupported`` for a method that is not available.
    """
    check_recipe(recipe)
    return [
        CandidateSpec(method="static", calibration=method, operators=operators)
        for operators in ([(), tuple(core)] if set(present) - set(core) else [()])
        for method in range_methods(recipe)
    ]


def by_speed(ratios: dict[Structure, float], specs: Iterable[CandidateSpec]) -> list[CandidateSpec]:
    """``specs`` that could be screened, the fastest structure first; the order within a structure stays."""
    return sorted((spec for spec in specs if structure(spec) in ratios), key=lambda spec: ratios[structure(spec)])


def worth_scoring(ratio: float, tried: Iterable[Tried]) -> bool:
    """Whether a candidate of this screened ratio can still win: nothing that passes is clearly faster."""
    return all(ratio <= _ratio(other) * (1 + SAME_SPEED) for other in tried if other.passed)


def finalists(tried: Iterable[Tried]) -> list[Tried]:
    """The candidates that passed, best first: the fastest, and among those of one speed the closest to float."""
    rest = sorted((item for item in tried if item.passed), key=_ratio)
    order: list[Tried] = []
    while rest:
        limit = _ratio(rest[0]) * (1 + SAME_SPEED)
        equals = [item for item in rest if _ratio(item) <= limit]
        order += sorted(equals, key=lambda item: closeness(item.record), reverse=True)
        rest = rest[len(equals) :]
    return order


def closest(tried: Iterable[Tried]) -> Tried | None:
    """The candidate nearest to float of all that ran, passed or not."""
    ran = [item for item in tried if item.record.agreement is not None]
    return max(ran, key=lambda item: closeness(item.record), default=None)


def closeness(record: Record) -> tuple[float, float]:
    """Sort key: agreement, then SQNR (infinite for an exact copy)."""
    worst = float("-inf")
    return (
        worst if record.agreement is None else record.agreement,
        worst if record.sqnr_db is None else record.sqnr_db,
    )


def pareto(records: Sequence[Record]) -> list[bool]:
    """For each record, whether no other is at least as fast and as close to float, and better in one of both."""
    points = [_point(record) for record in records]
    known = [point for point in points if point is not None]
    return [point is not None and not any(_dominates(other, point) for other in known) for point in points]


def why_none(tried: Sequence[Tried]) -> tuple[str, str]:
    """The most telling code and sentence when no candidate is left.

    Speed before all: a candidate that failed only there did everything else right. Else the candidate closest to float.
    """
    late = [item for item in tried if item.record.code in _SPEED_CODES]
    if late:
        quickest = min(late, key=_ratio).record
        return quickest.code or "no_candidate", f"int8 refused: {quickest.message}"
    best = closest(tried)
    if best is not None and best.record.code is not None:
        what = f"{best.record.calibration} ranges, {best.record.operators} operators"
        return best.record.code, f"{best.record.message} (the closest candidate: {what})"
    reasons = "; ".join(sorted({item.record.message for item in tried if item.record.message}))
    return "no_candidate", f"no int8 candidate could be tried: {reasons or 'the search budget is too small'}"


_Point = tuple[float, tuple[float, float]]


def _point(record: Record) -> _Point | None:
    """Speed and closeness, more is better in both; None for what was not measured."""
    if record.ratio_p50 is None or record.agreement is None:
        return None
    return -record.ratio_p50, closeness(record)


def _dominates(point: _Point, other: _Point) -> bool:
    return point[0] >= other[0] and point[1] >= other[1] and point != other


def _ratio(item: Tried) -> float:
    return float("inf") if item.record.ratio_p50 is None else item.record.ratio_p50
