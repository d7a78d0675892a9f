"""Extends the search beyond the planned candidates: float layers that pay, and enough candidates to compare.

This is pure control: the caller builds, measures and keeps the time. If nothing passes, or a faster candidate fails
only for its accuracy, more and more of its layers are left float until it passes and is likely to pass on the held-out
set. The search repairs the structure closest to float, because the fastest one may be far from it. If more float layers
change nothing, the cause is elsewhere and the next structure follows; the skipped steps resume if that one fails as
well. A passing candidate gets a few float layers too: if they cost no speed, the candidate closer to float wins, and
otherwise the report shows their cost.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from itertools import islice

from edge_agent.backends import CandidateSpec, Method
from edge_agent.worker.search.layer_selection import Starts, float_steps, refinable, repairable, with_float
from edge_agent.worker.search.mending import NO_GRAPH, Attempt, Graph, Measure, Mending
from edge_agent.worker.search.policy import EvaluatedCandidate, closest, finalists, structure

ENOUGH = 8
"""The number of measured candidates that gives a report enough to compare."""
_REFINEMENTS = 2
_PATIENCE = 2
"""Steps without a gain after which the cause is elsewhere; each step halves the simulated error."""
_FASTER = 1
"""Structures to repair although a slower one is sure to pass: the closest of the faster ones."""


def try_mixed_precision(
    tried: Sequence[EvaluatedCandidate],
    attempt: Attempt,
    measure: Measure,
    in_time: Callable[[], bool],
    *,
    methods: Collection[Method],
    graph: Graph = NO_GRAPH,
    starts: Starts = ((),),
) -> list[str]:
    """Try candidates with float layers; ``tried`` grows by what ``attempt`` adds.

    Args:
        tried: the candidates measured so far; ``attempt`` adds to this same list.
        attempt: measures one candidate.
        measure: returns the sensitivity of a planned candidate.
        in_time: returns whether there is time for one more candidate.
        methods: the methods whose roundings ``measure`` knows.
        graph: the layers to begin with.
        starts: the sets of float layers that candidates were planned with.

    Returns:
        Warnings about structures that float layers do not repair.
    """
    done = set()
    warnings: list[str] = []
    stuck: list[Mending] = []
    faster = 0
    while in_time() and faster < _FASTER:
        base = next((item for item in repairable(tried, methods, starts) if structure(item.spec) not in done), None)
        if base is None:
            break
        faster += any(item.likely_to_pass and item.gains for item in tried)
        done.add(structure(base.spec))
        mending = Mending(base, measure, graph)
        if not mending.go_on(attempt, in_time, patience=_PATIENCE):
            warnings.append(mending.told())
            stuck.append(mending)
    for mending in stuck:
        if any(item.worth_it for item in tried):
            break
        mending.go_on(attempt, in_time)
    best = refinable(tried, methods, starts)
    if best is None or not in_time():
        return warnings
    for layers in islice(float_steps(measure(best.spec)), _REFINEMENTS):
        if not in_time():
            break
        attempt(with_float(best.spec, layers))
    return warnings


def top_up_candidates(
    tried: Sequence[EvaluatedCandidate], planned: Iterable[CandidateSpec], attempt: Attempt, in_time: Callable[[], bool]
) -> None:
    """Measure more candidates until there are ``ENOUGH``: planned ones that cannot win, then per-tensor variants.

    The arguments are those of :func:`try_mixed_precision`.
    """
    known = {item.spec for item in tried}
    best = next(iter(finalists(tried)), None) or closest(tried)
    plain = [] if best is None else [replace(item.spec, per_channel=False) for item in (best, *tried) if _static(item)]
    for spec in dict.fromkeys((*planned, *plain)):
        if measured(tried) >= ENOUGH or not in_time():
            return
        if spec not in known:
            attempt(spec)


def measured(tried: Iterable[EvaluatedCandidate]) -> int:
    """The number of candidates that ran over the search set."""
    return sum(item.record.agreement is not None for item in tried)


def _static(item: EvaluatedCandidate) -> bool:
    return item.spec.method == "static" and item.record.agreement is not None
