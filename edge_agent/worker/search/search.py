"""One search: screens, scores, extends and proves candidates within a budget, and tells of its progress.

What to try and what is best is :mod:`.policy`'s, what goes beyond the plan :mod:`.mixed_precision`'s, building and
measuring :mod:`.evaluator`'s. Never opens anything but the search set.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec

from edge_agent.backends import CandidateSpec, Method
from edge_agent.errors import ModelError
from edge_agent.jobs.result import MAX_CANDIDATES, GateResult, MeasuredModel
from edge_agent.worker.context import Context
from edge_agent.worker.measure.latency import MOST, Decision, Latency
from edge_agent.worker.pace import Pace
from edge_agent.worker.search.evaluator import CandidateEvaluator, timed
from edge_agent.worker.search.layer_selection import Sensitivity
from edge_agent.worker.search.mixed_precision import ENOUGH, measured, top_up_candidates, try_mixed_precision
from edge_agent.worker.search.policy import (
    EvaluatedCandidate,
    Structure,
    by_speed,
    describe,
    finalists,
    most_time,
    pareto,
    select_for_report,
    structure,
    worth_scoring,
)

PROVED = 0.95
"""How far the stage is when the search has ended."""
_SCREENED, _SCORED, _COMPARED = 0.15, 0.45, 0.6
_SENSITIVITY_S = 10.0
_SENSITIVITY_SHARE = 0.25
"""Of the time that is left, for finding what each rounding costs."""
_MENDING_SHARE = 0.3
"""Of the budget, kept for float layers."""
_COMPARISON_SHARE = 0.5
"""Of the budget; afterwards nothing is measured that is only there to be compared with."""


class Search:
    """One run over the candidates of one model.

    Attributes:
        tried: every candidate, in the order tried.
        reference: the float model, with the latency last measured.
        ratio_lower: the lower bound of the last finalist's latency ratio.
        known: what each rounding does to the output, for the candidates of which it was measured.
    """

    def __init__(
        self,
        context: Context,
        evaluator: CandidateEvaluator,
        windows: int,
        *,
        budget_s: float,
        warnings: Sequence[str] = (),
    ) -> None:
        self._context = context
        self._evaluator = evaluator
        self._windows = windows
        self._begun = time.monotonic()
        self._budget_s = budget_s
        self._fraction = _SCREENED / 2
        self._screened: dict[Structure, MeasuredModel] = {}
        self.reference: MeasuredModel = evaluator.reference
        self.ratio_lower: float | None = None
        self._warnings = list(warnings)
        self.tried: list[EvaluatedCandidate] = []
        self.known: dict[CandidateSpec, Sensitivity] = {}
        self._starts: set[tuple[str, ...]] = {()}

    def left_s(self) -> float:
        """Seconds of the budget that are left; below zero when it is over."""
        return self._begun + self._budget_s - time.monotonic()

    def score(self, specs: list[CandidateSpec]) -> None:
        """Screen each structure once, then score candidates from the fastest on, until none can be faster."""
        self._starts.update(spec.float_layers for spec in specs)
        self._screen(specs)
        self._fraction = _SCREENED
        ratios = {key: record.ratio_p50 or 0.0 for key, record in self._screened.items()}
        order = by_speed(ratios, specs, most_time(self._context.task.gates))
        share = (_SCORED - _SCREENED) / max(len(order), 1)
        for number, spec in enumerate(order):
            if number > 0 and self.left_s() < self._budget_s * _MENDING_SHARE:
                break
            if worth_scoring(self._screened[structure(spec)].ratio_p50 or 0.0, self.tried):
                self._score(spec, self._fraction + share)

    def try_mixed_precision(
        self, measure: Callable[..., Sensitivity], methods: Sequence[Method], first: Sequence[str]
    ) -> None:
        """Candidates of ``methods`` with float layers, as far as the budget goes.

        ``measure``: a candidate's sensitivity, in at most ``seconds``; ``first``: the weighted layers, in graph order.
        """

        def sensitivity(spec: CandidateSpec) -> Sensitivity:
            if spec not in self.known:
                self._context.progress(self._fraction, "looking for the layers that cost accuracy", force=True)
                seconds = min(_SENSITIVITY_S, self.left_s() * _SENSITIVITY_SHARE)
                self.known[spec] = measure(spec, seconds=seconds)
            return self.known[spec]

        in_time = lambda: self.left_s() > 0  # noqa: E731  # asked at each step
        try_mixed_precision(
            self.tried, self._attempt, sensitivity, in_time, methods=methods, first=first, starts=self._starts
        )

    def planned(self, spec: CandidateSpec) -> CandidateSpec:
        """What a candidate was before further layers of it were left float: itself where it was planned so."""
        within = [start for start in self._starts if set(start) <= set(spec.float_layers)]
        return replace(spec, float_layers=max(within, key=len))

    def compare(self, planned: list[CandidateSpec]) -> None:
        """Further candidates to compare with, in the first part of the budget."""
        spare = self._budget_s * (1 - _COMPARISON_SHARE)
        top_up_candidates(self.tried, planned, self._attempt, lambda: self.left_s() > spare)

    def _attempt(self, spec: CandidateSpec) -> EvaluatedCandidate | None:
        """Measure a candidate beyond those planned; None if it cannot be built."""
        if structure(spec) not in self._screened:
            self._screen([spec])
        if structure(spec) not in self._screened:
            return None
        return self._score(spec, self._fraction + (_COMPARED - self._fraction) / 4)

    def _score(self, spec: CandidateSpec, end: float) -> EvaluatedCandidate | None:
        """Score a candidate whose structure was screened; ``end``: how far the stage is then."""
        what = f"trying {describe(self._evaluator.blank(spec))}, window"
        pace = Pace(self._context, what, self._windows, begin=self._fraction, end=end, timed=False)
        self._fraction = end
        try:
            self.tried.append(self._evaluator.score(spec, self._screened[structure(spec)], pace))
        except ModelError as error:
            self._drop(spec, error)
            return None
        return self.tried[-1]

    def _screen(self, specs: Sequence[CandidateSpec]) -> None:
        """The speed of each structure that can be built."""
        self._context.progress(self._fraction, "screening speed", force=True)
        first = {structure(spec): spec for spec in reversed(specs)}
        for spec, found in self._evaluator.screen(list(first.values())).items():
            if isinstance(found, ModelError):
                self._drop(spec, found)
            else:
                self._screened[structure(spec)] = found
        self.reference = self._evaluator.reference

    def _drop(self, spec: CandidateSpec, error: ModelError) -> None:
        record = msgspec.structs.replace(self._evaluator.blank(spec), code=error.code, message=error.message)
        self.tried.append(EvaluatedCandidate(spec, record, passed=False))

    def prove_speed(self) -> EvaluatedCandidate | None:
        """The first finalist that the full latency statistic does not refuse.

        Over budget one sure finalist is asked, and then one doubtful one: where only the sure ones are slow, speed
        would be a false reason to refuse the model.
        """
        refused: set[Structure] = set()
        best_first = finalists(self.tried)
        for sure in (True, False):
            asked = False
            for finalist in (item for item in best_first if item.likely_to_pass is sure):
                if structure(finalist.spec) in refused:
                    continue
                if asked and self.left_s() < 0:
                    break
                asked = True
                proven = self._time(finalist)
                if proven.passed:
                    return proven
                refused.add(structure(finalist.spec))
        return None

    def _time(self, finalist: EvaluatedCandidate) -> EvaluatedCandidate:
        """The finalist after the full latency statistic."""
        pace = Pace(self._context, "measuring latency, process", MOST, begin=_COMPARED, end=PROVED, timed=False)
        proven = self._take(finalist, self._evaluator.time(finalist, pace))
        if proven.passed and not proven.likely_to_pass:
            wrong = proven.record.disagreements
            self.warn(
                f"the verdict was in doubt: {wrong} of {proven.record.windows} search windows disagree, so the chance "
                f"that the held-out set proves the agreement was {proven.chance:.0%}, and no surer candidate passed"
            )
        return proven

    def _take(self, finalist: EvaluatedCandidate, latency: Latency) -> EvaluatedCandidate:
        """Put the full statistic into the records of float and of the finalist."""
        self.reference = msgspec.structs.replace(timed(self.reference, latency.reference), ratio_p50=1.0)
        self.ratio_lower = latency.ratio_p50_lower
        accepted = latency.decision is Decision.ACCEPTED
        record = msgspec.structs.replace(
            timed(finalist.record, latency.target),
            ratio_p50=latency.ratio_p50,
            ratio_p50_upper=latency.ratio_p50_upper,
            ratio_p50_same_runtime=latency.ratio_p50_same_runtime,
            gates=[_proved(gate, latency) for gate in finalist.record.gates],
            code=None if accepted else str(latency.decision),
            message=None if accepted else latency.message,
        )
        proven = replace(finalist, record=record, passed=accepted)
        self.tried[self.tried.index(finalist)] = proven
        return proven

    def warn(self, warning: str) -> None:
        """Say something in the report."""
        self._warnings.append(warning)

    def warnings(self) -> list[str]:
        """What the report has to warn of; among it why there are few candidates to compare, where there are."""
        count = measured(self.tried)
        if count >= ENOUGH:
            return self._warnings
        late = self.left_s() < self._budget_s * (1 - _COMPARISON_SHARE)
        why = (
            f"the search budget of {self._budget_s:g} s is meant for the best first; "
            f"for more set [recipe] search_budget_s = {2 * self._budget_s:g}"
            if late
            else "the recipe and this model allow no more"
        )
        return [*self._warnings, f"{count} candidates were measured, not {ENOUGH}: {why}"]

    def records(self, chosen: EvaluatedCandidate | None) -> tuple[list[MeasuredModel], int]:
        """What is told of the candidates, the Pareto front marked, and the place of the chosen one (-1: none)."""
        items = select_for_report(self.tried, chosen, MAX_CANDIDATES)
        records = [item.record for item in items]
        marked = [
            msgspec.structs.replace(record, pareto=on) for record, on in zip(records, pareto(records), strict=True)
        ]
        return marked, next((place for place, item in enumerate(items) if item is chosen), -1)


def _proved(gate: GateResult, latency: Latency) -> GateResult:
    """The gate of latency with what the full statistic says; any other as it is."""
    if gate.name != "max_latency_ratio":
        return gate
    passed = latency.decision is Decision.ACCEPTED
    return msgspec.structs.replace(gate, value=latency.ratio_p50_upper, passed=passed)
