"""What the search does beyond the planned candidates: float layers where they pay, and enough candidates to compare.

Pure control: building, measuring and the clock are the caller's. Where nothing passes, or something faster fails only
for its accuracy, ever more layers of it are left float until it passes and is likely to stand before the held-out set:
of the structure that is closest to float, as the fastest may be far from it. Where more float layers change nothing the
cause is elsewhere, so it is the next structure's turn, and what was left out comes back if that fails, too. What passes
already gets a few float layers too: where they cost no speed, the candidate closer to float wins, and else the report
shows what they would cost.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from itertools import islice

from edge_agent.backends import CandidateSpec, Method
from edge_agent.worker.search.layer_selection import Starts, float_steps, refinable, repairable, with_float
from edge_agent.worker.search.mending import NO_GRAPH, Attempt, Graph, Measure, Mending
from edge_agent.worker.search.policy import EvaluatedCandidate, closest, finalists, structure

ENOUGH = 8
"""A report with this many measured candidates shows what there is to choose between."""
_REFINEMENTS = 2
_PATIENCE = 2
"""Steps without a gain, each of which halves the simulated error, after which the cause is elsewhere."""
_FASTER = 1
"""Structures that are mended although a slower one is sure to pass: the closest of those that are faster."""


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
        tried: what has been measured so far, the very list that ``attempt`` adds to.
        attempt: measures one.
        measure: the sensitivity of a candidate as it was planned.
        in_time: whether there is time for one more.
        methods: those of which ``measure`` knows the roundings.
        graph: where to begin.
        starts: the sets of float layers that candidates were planned with.

    Returns:
        What is to be said of structures that float layers do not mend.
    """
    done = set()
    told: list[str] = []
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
            told.append(mending.told())
            stuck.append(mending)
    for mending in stuck:
        if any(item.worth_it for item in tried):
            break
        mending.go_on(attempt, in_time)
    best = refinable(tried, methods, starts)
    if best is None or not in_time():
        return told
    for layers in islice(float_steps(measure(best.spec)), _REFINEMENTS):
        if not in_time():
            break
        attempt(with_float(best.spec, layers))
    return told


def top_up_candidates(
    tried: Sequence[EvaluatedCandidate], planned: Iterable[CandidateSpec], attempt: Attempt, in_time: Callable[[], bool]
) -> None:
    """Measure more, until there are ``ENOUGH``: what was planned but cannot win, then what ran with one scale a tensor.

    Arguments as of :func:`try_mixed_precision`.
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
    """How many candidates ran over the search set."""
    return sum(item.record.agreement is not None for item in tried)


def _static(item: EvaluatedCandidate) -> bool:
    return item.spec.method == "static" and item.record.agreement is not None
