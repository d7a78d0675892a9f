"""The end of a search: the remaining candidates are ranked, and the best one or its successor proves its speed.

A contest chooses and a proof decides. No time from the contest counts in the proof, because a winner was also lucky. At
most two structures attempt a proof, each at 97.5 % if there is a second one (Bonferroni), so that together they err as
often as one. ``tests/bench/race_error.py`` simulates the error rates.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import dropwhile

from msgspec.structs import replace as replace_in

from edge_agent.jobs.result import GateResult
from edge_agent.quant.bounds import CONFIDENCE
from edge_agent.quant.gain import meets
from edge_agent.quant.gates import evaluate_gain
from edge_agent.quant.limits import latency_limit
from edge_agent.strict import counted
from edge_agent.worker.context import Context
from edge_agent.worker.measure.comparison import compare
from edge_agent.worker.measure.latency import Decision, Latency, looks
from edge_agent.worker.measure.race import MOST
from edge_agent.worker.pace import Pace
from edge_agent.worker.search.blame import MEASURING, failed, float_fails
from edge_agent.worker.search.contest import Contest
from edge_agent.worker.search.evaluator import CandidateEvaluator, timed
from edge_agent.worker.search.forms import Forms
from edge_agent.worker.search.freezing import SHARED_CONFIDENCE, Finalist, second_finalists
from edge_agent.worker.search.mixed_precision import measured
from edge_agent.worker.search.policy import EvaluatedCandidate, Structure, best_of_structures, structure
from edge_agent.worker.search.preference import Costs
from edge_agent.worker.search.preference import costs as measured_costs
from edge_agent.worker.search.screening import room_for_models

_ASKED = 2
"""The largest number of structures that attempt a proof."""
_RACED = 0.3
"""The progress within this part of the stage once the order is known."""


class SpeedProof:
    """Proves the speed of the best candidates.

    Attributes:
        reference: the float model, as last measured.
        warnings: warnings for the report.
    """

    def __init__(
        self,
        context: Context,
        evaluator: CandidateEvaluator,
        tried: list[EvaluatedCandidate],
        *,
        forms: Forms,
        left_s: Callable[[], float],
        span: tuple[float, float],
    ) -> None:
        """Measure nothing yet.

        Args:
            context: the stage.
            evaluator: builds the candidates and knows how each is served.
            tried: every candidate; a measurement replaces its candidate in this list.
            forms: makes the forms of float and of the proved candidates, so that the proof measures what is served.
            left_s: returns the seconds left of the budget.
            span: the progress of the stage before and after.
        """
        self._context = context
        self._evaluator = evaluator
        self._tried = tried
        self._forms = forms
        self._left_s = left_s
        self._done, self._end = span
        self._step = self._end - self._done
        self._timed: dict[Structure, Latency] = {}
        self._confidence = CONFIDENCE
        self.reference = evaluator.reference
        self.warnings: list[str] = []

    def finalists(self) -> list[Finalist]:
        """The candidates with proved speed, preferred one first; two at most.

        The second one shares the held-out set with the first, if that raises the chance of acceptance. It attempts a
        proof only within the budget.

        Raises:
            ModelError, LimitError, StageError: float itself cannot be measured.
        """
        order = best_of_structures(self._tried)
        if len(order) > 1:
            self._confidence = SHARED_CONFIDENCE
            order = self._in_order(order)
        if order:
            self.reference = self._forms.of_float(self.reference)
        first = self._first(order)
        if first is None:
            return []
        second = self._second(first)
        if not first.item.likely_to_pass and second is None:
            self._warn_of_doubt(first.item)
        return [first] if second is None else [first, second]

    def _in_order(self, items: Sequence[EvaluatedCandidate]) -> list[EvaluatedCandidate]:
        contest = Contest(self._evaluator, self._context.task, self.reference)
        pace = self._pace("comparing the best candidates, process", MOST, _RACED)
        order = contest.run(items, left_s=self._left_s, on_process=pace)
        self.reference = contest.reference
        for item in order:
            self._know(item)
        return [item for item in order if item.passed]

    def _first(self, order: Sequence[EvaluatedCandidate]) -> Finalist | None:
        """The winner if its speed is proved and it gains something; otherwise its successor under the same conditions.

        The successor is the best candidate that is fast enough as far as measured, or else the best that may be: if
        only the preferred ones are slow, speed would be a false reason to refuse the model. A winner whose gain was
        luck stays first only if its successor does no better. No successor that is known to gain nothing follows a
        winner that gains, so that the job ends with the reason for the winner's failure.
        """
        order = list(dropwhile(lambda item: not self._is_timed(item), order))
        if not order:
            return None
        proved = self._proved(order[0])
        if proved is not None and proved.item.gains:
            return proved
        may_follow = proved is None and not order[0].gains
        left = [item for item in order[1:] if item.gains or may_follow or (proved is None and not _weighed(item))]
        left.sort(key=lambda item: not item.fast_enough)
        may_be_fast = (item for item in left if not item.too_slow)
        successor = next((item for item in may_be_fast if self._is_timed(item)), None)
        if successor is None:
            return proved
        followed = self._proved(successor)
        return followed if followed is not None and (proved is None or followed.item.gains) else proved

    def _second(self, first: Finalist) -> Finalist | None:
        for item in second_finalists(self._tried, first.item):
            may_ask = len(self._timed) < _ASKED and self._left_s() >= 0
            may_prove = structure(item.spec) in self._timed or (may_ask and self._is_timed(item))
            proved = self._proved(item) if may_prove else None
            if proved is not None and proved.item.gains >= first.item.gains:
                return proved
        return None

    def _proved(self, item: EvaluatedCandidate) -> Finalist | None:
        """The candidate after the full latency statistic of its structure; None if that or the gain refuses it.

        Memory is measured accurately only later, so it may still provide the gain if time and size do not.
        """
        latency = self._timed[structure(item.spec)]
        item = self._forms.of(item)
        self.reference = replace_in(timed(self.reference, latency.reference), ratio_p50=1.0)
        screened = measured_costs(item.record, self.reference)
        costs = Costs(latency.ratio_p50_upper, screened.size)
        gates = self._context.task.gates
        worth = evaluate_gain(gates, costs.gain)
        fast = latency.decision is Decision.ACCEPTED
        accepted = fast and worth.passed
        record = replace_in(
            timed(item.record, latency.target),
            ratio_p50=latency.ratio_p50,
            ratio_p50_upper=latency.ratio_p50_upper,
            ratio_confidence=latency.confidence,
            ratio_p50_same_runtime=latency.ratio_p50_same_runtime,
            gates=[*(_with_proof(gate, latency) for gate in item.record.gates), *(worth.gates if fast else ())],
            code=(worth.code or None) if fast else str(latency.decision),
            message=(worth.message or None) if fast else latency.message,
        )
        gains = meets(replace(costs, memory=screened.memory).gain, gates.min_gain)
        proved = replace(item, record=record, passed=accepted, gains=gains)
        self._know(proved)
        return Finalist(proved, self.reference, latency.ratio_p50_lower) if accepted else None

    def _is_timed(self, item: EvaluatedCandidate) -> bool:
        """Measure the candidate's structure unless it is known; return whether it succeeded, and fail it otherwise.

        Raises the errors of :meth:`finalists` if float itself cannot be measured.
        """
        key = structure(item.spec)
        if key not in self._timed:
            try:
                self._timed[key] = self._compared(self._forms.of(item))
            except MEASURING as error:
                if float_fails(self._evaluator):
                    raise
                self._know(failed(item, error))
        return key in self._timed

    def _compared(self, item: EvaluatedCandidate) -> Latency:
        share = (1.0 - _RACED) / _ASKED
        *_, most = looks(self._confidence)
        return compare(
            self._evaluator.float_served(),
            self._evaluator.target_served(item),
            self._evaluator.feeds,
            limit=latency_limit(self._context.task.gates),
            goal=self._goal(item),
            confidence=self._confidence,
            same=self._evaluator.float_served_like(item),
            most_bytes=room_for_models(self._context.task.memory_bytes),
            on_process=self._pace("measuring latency, process", most, share),
        )

    def _goal(self, item: EvaluatedCandidate) -> float:
        """The ratio that gains enough time, if time may be the candidate's only gain; 0: none."""
        asked = self._context.task.gates.min_gain
        others = replace(measured_costs(item.record, self.reference), time=None)
        return 0.0 if not asked.time or meets(others.gain, asked) else 1.0 - asked.time

    def _know(self, item: EvaluatedCandidate) -> None:
        """Replace a candidate in the list with its newer measurement."""
        place = next(place for place, one in enumerate(self._tried) if one.spec == item.spec and one.passed)
        self._tried[place] = item

    def _pace(self, what: str, processes: int, share: float) -> Pace:
        begin, self._done = self._done, min(self._done + share * self._step, self._end)
        return Pace(self._context, what, processes, begin=begin, end=self._done, timed=False)

    def _warn_of_doubt(self, item: EvaluatedCandidate) -> None:
        seen = item.prospect
        if seen is None:
            return
        what = "disagree with float" if seen.won is None else "are right in float and wrong in int8"
        self.warnings.append(
            f"the verdict was in doubt: {seen.wrong} of {seen.windows} search windows {what}, for the best of "
            f"{counted(measured(self._tried), 'candidate')}; this leaves a chance of {item.chance:.0%} that it "
            "passes on the held-out set, and no candidate with a better chance passed"
        )


def _weighed(item: EvaluatedCandidate) -> bool:
    """Whether the candidate's memory is known, and with it the whole gain."""
    return item.record.steady_rss_bytes is not None


def _with_proof(gate: GateResult, latency: Latency) -> GateResult:
    """The latency gate with the result of the full statistic; any other gate unchanged."""
    if gate.name != "max_latency_ratio":
        return gate
    passed = latency.decision is Decision.ACCEPTED
    return replace_in(gate, value=latency.ratio_p50_upper, passed=passed)
