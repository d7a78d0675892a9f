"""Adds the result of a screening to a scored candidate. Pure.

Scoring and screening come in either order. Planned candidates are screened first, so that the fastest is scored first.
Candidates beyond the plan are scored first, because most of them fail there.
"""

from dataclasses import replace

import msgspec

from edge_agent.jobs.result import MeasuredModel
from edge_agent.jobs.task import Task
from edge_agent.quant.findings import Measured, latency_screened
from edge_agent.quant.gain import meets
from edge_agent.quant.limits import resolve_gates
from edge_agent.wire.manifest import OutputKind
from edge_agent.worker.search.policy import COARSE, EvaluatedCandidate, most_time
from edge_agent.worker.search.preference import costs, preferred

_SLOW = "latency_too_high"


def with_speed(
    item: EvaluatedCandidate, screened: MeasuredModel, reference: MeasuredModel, task: Task, kind: OutputKind
) -> EvaluatedCandidate:
    """``item`` with the screening of its structure, which replaces any earlier one.

    Args:
        item: the scored candidate.
        screened: the record of its structure.
        reference: float's record.
        task: gates and preference.
        kind: the kind of the judged output.
    """
    limits = resolve_gates(task.gates, kind, labelled=False)  # labels do not affect speed
    finding = latency_screened(limits, Measured(windows=0, windows_effective=0, latency_ratio=screened.ratio_p50))
    record = msgspec.structs.replace(
        item.record,
        runtime=screened.runtime,
        runtime_version=screened.runtime_version,
        threads=screened.threads,
        latency_p50_ms=screened.latency_p50_ms,
        latency_p95_ms=screened.latency_p95_ms,
        latency_p99_ms=screened.latency_p99_ms,
        ratio_p50=screened.ratio_p50,
        ratio_p50_same_runtime=screened.ratio_p50_same_runtime,
        gates=[
            *(gate for gate in item.record.gates if gate.name != "max_latency_ratio"),
            *([] if finding is None else [finding.gate]),
        ],
    )
    record = preferred(record, reference, task.recipe.prefer)
    gains = meets(costs(record, reference).gain, task.gates.min_gain)
    passed = item.passed
    if record.code in (None, _SLOW):
        slow = finding is not None and not finding.gate.passed
        code, message = (finding.code, finding.message) if slow and finding is not None else (None, None)
        record = msgspec.structs.replace(record, code=code, message=message)
        passed = not slow or (screened.ratio_p50 or 0.0) <= most_time(task.gates)
    return replace(item, record=record, passed=passed, gains=gains, speed_error=COARSE)
