"""Selects the candidates that a report lists and marks the Pareto front. Pure."""

from collections.abc import Sequence

from edge_agent.jobs.result import MeasuredModel
from edge_agent.worker.search.policy import EvaluatedCandidate

_Point = tuple[float, tuple[float, float]]


def select_for_report(
    tried: Sequence[EvaluatedCandidate], chosen: Sequence[EvaluatedCandidate], most: int
) -> list[EvaluatedCandidate]:
    """At most ``most`` of ``tried``, in their order: chosen ones first, then those that passed, then those that ran."""
    frozen = {id(item) for item in chosen}
    rank = sorted(tried, key=lambda item: (id(item) not in frozen, not item.passed, item.record.agreement is None))
    kept = {id(item) for item in rank[:most]}
    return [item for item in tried if id(item) in kept]


def pareto(records: Sequence[MeasuredModel]) -> list[bool]:
    """For each record, whether no other is at least as fast and as close to float, and better in one of the two."""
    points = [_point(record) for record in records]
    known = [point for point in points if point is not None]
    return [point is not None and not any(_dominates(other, point) for other in known) for point in points]


def _point(record: MeasuredModel) -> _Point | None:
    """Speed and closeness, where more is better; None for a record without these measurements."""
    if record.ratio_p50 is None or record.agreement is None:
        return None
    return -record.ratio_p50, record.closeness


def _dominates(point: _Point, other: _Point) -> bool:
    return point[0] >= other[0] and point[1] >= other[1] and point != other
