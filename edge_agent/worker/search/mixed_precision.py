"""What the search does beyond the planned candidates: float layers where they pay, and enough candidates to compare.

Pure control: building, measuring and the clock are the caller's. Where nothing passes, or something faster fails only
for its accuracy, ever more layers of it are left float until it passes and is likely to stand before the held-out set:
of the structure that is closest to float, as the fastest may be far from it. Where more float layers change nothing the
cause is elsewhere, so it is the next structure's turn, and what was left out comes back if that fails, too. What passes
already gets a few float layers too: where they cost no speed, the candidate closer to float wins, and else the report
shows what they would cost.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

from edge_agent.backends import CandidateSpec, Method
from edge_agent.strict import counted
from edge_agent.worker.search.layer_selection import HALVED, Sensitivity, Starts, float_steps, refinable, repairable
from edge_agent.worker.search.policy import EvaluatedCandidate, closest, describe, finalists, structure

ENOUGH = 8
"""A report with this many measured candidates shows what there is to choose between."""
_REFINEMENTS = 2
_FIRST = (1, 4)
_WORTH_A_START = 0.25
"""The part of the simulated error that a group of layers must have to be left float as a whole."""
_PATIENCE = 2
"""Steps without a gain, each of which halves the simulated error, after which the cause is elsewhere."""
_GAIN, _GAIN_DB = 0.9, 1.0
"""A gain is at most this part of the disagreements before, or so much less error."""

Attempt = Callable[[CandidateSpec], EvaluatedCandidate | None]
"""Measures one candidate and adds it to those tried; None if it cannot be built."""
Measure = Callable[[CandidateSpec], Sensitivity]


class Graph(NamedTuple):
    """What a graph tells of where int8 loses most, before anything is simulated.

    Attributes:
        first: the layers with weights, in graph order. What the first of them lose, all others carry on, and sums that
            saturate are seen by no simulation of roundings: so a few of the first are tried whatever is measured, and
            stay float in what follows where they halve the disagreements.
        groups: layers that are left float together where they have much of the error (:mod:`.starts`), by names.
    """

    first: Sequence[str] = ()
    groups: Mapping[str, tuple[str, ...]] = {}


NO_GRAPH = Graph()


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
    stuck: list[_Mending] = []
    while in_time():
        base = next((item for item in repairable(tried, methods, starts) if structure(item.spec) not in done), None)
        if base is None:
            break
        done.add(structure(base.spec))
        mending = _Mending(base, _steps(base, measure, graph))
        if not mending.go_on(attempt, in_time, patience=_PATIENCE):
            told.append(mending.told())
            stuck.append(mending)
    for mending in stuck:
        if any(item.passed for item in tried):
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


class _Step(NamedTuple):
    layers: tuple[str, ...]
    guess: bool
    """Nothing is known of them but where they are: they stay float where that pays."""


class _Mending:
    """Ever more float layers of one candidate."""

    def __init__(self, base: EvaluatedCandidate, steps: Iterator[_Step]) -> None:
        self._base = self._last = self._best = base
        self._steps = steps
        self._ground: tuple[str, ...] = ()

    def go_on(self, attempt: Attempt, in_time: Callable[[], bool], *, patience: int | None = None) -> bool:
        """Take steps until one passes, none is left or time is over; False: after ``patience`` without a gain."""
        without = 0
        for layers, guess in self._steps:
            if not in_time():
                break
            mended = attempt(with_float(self._base.spec, (*self._ground, *layers)))
            if mended is None:
                continue
            if mended.likely_to_pass:
                break
            if guess and _wrong(self._base) > 0 and _wrong(mended) <= _wrong(self._base) * HALVED:
                self._ground = tuple(dict.fromkeys((*self._ground, *layers)))
            without = 0 if _gains(mended, self._best) else without + (not guess)
            self._last = mended
            self._best = max(self._best, mended, key=lambda item: item.record.closeness)
            if without == patience:
                return False
        return True

    def told(self) -> str:
        """That the cause is elsewhere."""
        before, after = self._base.record, self._last.record
        layers = counted(len(self._last.spec.float_layers), "layer")
        return (
            f"{describe(before)}: leaving {layers} float changed next to nothing ({after.disagreements} of "
            f"{after.windows} search windows disagree, {before.disagreements} of {before.windows} before), so what is "
            "lost there is lost by no single layer; another structure was tried"
        )


def _gains(item: EvaluatedCandidate, before: EvaluatedCandidate) -> bool:
    """Whether it is closer to float by more than nothing."""
    decibels = [-float("inf") if one.record.sqnr_db is None else one.record.sqnr_db for one in (item, before)]
    return _wrong(item) <= _wrong(before) * _GAIN or decibels[0] >= decibels[1] + _GAIN_DB


def with_float(spec: CandidateSpec, layers: Iterable[str]) -> CandidateSpec:
    """``spec`` with these layers left float, too."""
    return replace(spec, float_layers=tuple(dict.fromkeys((*spec.float_layers, *layers))))


def _steps(base: EvaluatedCandidate, measure: Measure, graph: Graph) -> Iterator[_Step]:
    """The first few layers, then groups with much of the error, then those that :func:`.float_steps` says."""
    if base.spec.method == "static":
        yield from (_Step(tuple(graph.first[:count]), True) for count in _FIRST if count <= len(graph.first) / 2)
    known = measure(base.spec)
    shares = known.shares()
    for group in graph.groups.values():
        layers = tuple(name for name in group if name in shares)
        if layers and sum(shares[name] for name in layers) >= _WORTH_A_START:
            yield _Step(layers, True)
    yield from (_Step(layers, False) for layers in float_steps(known))


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
