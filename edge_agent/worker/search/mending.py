"""Leaves more and more layers of one candidate float until it passes. Pure control, like :mod:`.mixed_precision`.

The graph determines the first steps: the first layers with weights, then groups of layers that are known to lose
accuracy as int8 and have much of the simulated error (:mod:`.starts`). Layers that help stay float in the later steps.
The next steps take the layers with the largest simulated error, and each step halves that error. If the steps change
nothing, the error is not where the simulation sees it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from edge_agent.backends import CandidateSpec
from edge_agent.strict import counted
from edge_agent.worker.search.layer_selection import HALVED, Sensitivity, float_steps, with_float
from edge_agent.worker.search.policy import EvaluatedCandidate, describe

_FIRST = (1, 4)
_WORTH_A_START = 0.25
"""The part of the simulated error that a group needs besides its worst layer to be left float as a whole."""
_GAIN, _GAIN_DB = 0.9, 1.0
"""A gain reduces the disagreements to at most this part, or the error by at least this many decibels."""

Attempt = Callable[[CandidateSpec], EvaluatedCandidate | None]
"""Measures one candidate and adds it to the tried ones; returns None if it cannot be built."""
Measure = Callable[[CandidateSpec], Sensitivity]


class Graph(NamedTuple):
    """The places where int8 loses most according to the graph, before any simulation.

    Attributes:
        first: the layers with weights, in graph order. All later layers carry on the errors of the first ones, and a
            simulation of roundings does not see saturating sums. A few of the first layers are therefore always tried,
            and stay float in later steps if they halve the disagreements.
        groups: name → layers that are left float together if they have much of the error (:mod:`.starts`).
    """

    first: Sequence[str] = ()
    groups: Mapping[str, tuple[str, ...]] = {}


NO_GRAPH = Graph()


class _Step(NamedTuple):
    layers: tuple[str, ...]
    guess: bool
    """Whether only their position in the graph is known; they stay float if that pays."""


class Mending:
    """The steps of one candidate towards more float layers."""

    def __init__(self, base: EvaluatedCandidate, measure: Measure, graph: Graph) -> None:
        self._base = self._last = self._best = base
        self._steps = _steps(base, measure, graph)
        self._ground: tuple[str, ...] = ()
        self._done = {frozenset(base.spec.float_layers)}

    def go_on(self, attempt: Attempt, in_time: Callable[[], bool], *, patience: int | None = None) -> bool:
        """Take steps until one passes, none is left or time is up; return False after ``patience`` without a gain."""
        without = 0
        for layers, guess in self._steps:
            if not in_time():
                break
            spec = with_float(self._base.spec, (*self._ground, *layers))
            if frozenset(spec.float_layers) in self._done:
                continue
            self._done.add(frozenset(spec.float_layers))
            mended = attempt(spec)
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
        """The warning that the cause is elsewhere."""
        before, after = self._base.record, self._last.record
        layers = counted(len(self._last.spec.float_layers), "layer")
        return (
            f"{describe(before)}: leaving {layers} float changed next to nothing ({after.disagreements} of "
            f"{after.windows} search windows disagree, {before.disagreements} of {before.windows} before), so the "
            "error does not come from a few layers; the search continued with other structures"
        )


def _gains(item: EvaluatedCandidate, before: EvaluatedCandidate) -> bool:
    """Whether ``item`` is noticeably closer to float than ``before``."""
    decibels = [-float("inf") if one.record.sqnr_db is None else one.record.sqnr_db for one in (item, before)]
    return _wrong(item) <= _wrong(before) * _GAIN or decibels[0] >= decibels[1] + _GAIN_DB


def _steps(base: EvaluatedCandidate, measure: Measure, graph: Graph) -> Iterator[_Step]:
    """Yield the first few layers, then groups with much of the error, then the steps of :func:`.float_steps`."""
    if base.spec.method == "static":
        yield from (_Step(tuple(graph.first[:count]), True) for count in _FIRST if count <= len(graph.first) / 2)
    known = measure(base.spec)
    shares = known.shares()
    for group in graph.groups.values():
        layers = tuple(name for name in group if name in shares)
        own = sorted(shares[name] for name in layers)
        if sum(own[:-1]) >= _WORTH_A_START:
            yield _Step(layers, True)
    yield from (_Step(layers, False) for layers in float_steps(known))


def _wrong(item: EvaluatedCandidate) -> float:
    """The share of the search windows that disagree."""
    return 1.0 if item.record.agreement is None else 1.0 - item.record.agreement
