"""What the search does beyond the planned candidates: float layers where they pay, and enough candidates to compare.

Pure control: building, measuring and the clock are the caller's. Where nothing passes, or something faster fails only
for its accuracy, ever more layers of it are left float until it passes
and is likely to stand before the held-out set. What passes already gets a few float layers
too: where they cost no speed, the candidate closer to float wins, and else the report shows what they would cost.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from edge_agent.backends import CandidateSpec, Method
from edge_agent.worker.search.layer_selection import HALVED, Sensitivity, Starts, float_steps, refinable, repairable
from edge_agent.worker.search.policy import EvaluatedCandidate, closest, finalists, structure

ENOUGH = 8
"""A report with this many measured candidates shows what there is to choose between."""
_REFINEMENTS = 2
_FIRST = (1, 4)

Attempt = Callable[[CandidateSpec], EvaluatedCandidate | None]
"""Measures one candidate and adds it to those tried; None if it cannot be built."""
Measure = Callable[[CandidateSpec], Sensitivity]


def try_mixed_precision(
    tried: Sequence[EvaluatedCandidate],
    attempt: Attempt,
    measure: Measure,
    in_time: Callable[[], bool],
    *,
    methods: Collection[Method],
    first: Sequence[str] = (),
    starts: Starts = ((),),
) -> None:
    """Try candidates with float layers; ``tried`` grows by what ``attempt`` adds.

    Args:
        tried: what has been measured so far, the very list that ``attempt`` adds to.
        attempt: measures one.
        measure: the sensitivity of a candidate as it was planned.
        in_time: whether there is time for one more.
        methods: those of which ``measure`` knows the roundings.
        first: the layers with weights, in graph order. What the first of them lose, all others carry on, and sums that
            saturate are seen by no simulation of roundings: so a few of the first are tried whatever ``measure`` says,
            and stay float in what follows where they halve the disagreements.
        starts: the sets of float layers that candidates were planned with.
    """
    done = set()
    while in_time():
        base = next((item for item in repairable(tried, methods, starts) if structure(item.spec) not in done), None)
        if base is None:
            break
        done.add(structure(base.spec))
        ground: tuple[str, ...] = ()
        for layers, early in _steps(base, measure, first):
            if not in_time():
                return
            mended = attempt(with_float(base.spec, (*ground, *layers)))
            if mended is not None and mended.likely_to_pass:
                break
            if early and mended is not None and _wrong(base) > 0 and _wrong(mended) <= _wrong(base) * HALVED:
                ground = layers
    best = refinable(tried, methods, starts)
    if best is None or not in_time():
        return
    for layers in islice(float_steps(measure(best.spec)), _REFINEMENTS):
        if not in_time():
            return
        attempt(with_float(best.spec, layers))


def with_float(spec: CandidateSpec, layers: Iterable[str]) -> CandidateSpec:
    """``spec`` with these layers left float, too."""
    return replace(spec, float_layers=tuple(dict.fromkeys((*spec.float_layers, *layers))))


def _steps(base: EvaluatedCandidate, measure: Measure, first: Sequence[str]) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Ever more float layers: the first few (True), then those that :func:`.layer_selection.float_steps` says."""
    if base.spec.method == "static":
        yield from ((tuple(first[:count]), True) for count in _FIRST if count <= len(first) / 2)
    yield from ((layers, False) for layers in float_steps(measure(base.spec)))


def _wrong(item: EvaluatedCandidate) -> float:
    """The share of the search windows that disagree."""
    return 1.0 if item.record.agreement is None else 1.0 - item.record.agreement


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
