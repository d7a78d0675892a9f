"""The end of a search: what may still win is put in order, and the best proves its speed, or one successor does.

A contest chooses, a proof decides, and no time of the first counts in the second: whoever won was lucky as well. Two
structures are asked for a proof at most, each at 97.5 % where there is a second one (Bonferroni), so that together they
err as often as one. ``tests/bench/race_error.py`` simulates what follows.
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
"""Structures that are asked for a proof, at most."""
_RACED = 0.3
"""How much of this part of the stage is over when the order is known."""


class SpeedProof:
    """Asks the best candidates for a proof.

    Attributes:
        reference: the float model, as last measured.
        warnings: what the report has to say.
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
        """Nothing is measured yet.

        Args:
            context: the stage.
            evaluator: builds the candidates, and knows how each is served.
            tried: every candidate; one that is measured is replaced by what is known of it then.
            forms: makes the forms of float and of what is proved; what is proved is what is served.
            left_s: seconds of the budget that are left.
            span: how far the stage is before and after.
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
        """Those whose speed is proved, the preferred one first; two at most.

        The second one shares the held-out set with the first, where that makes the job likelier to end accepted; it is
        asked for a proof within the budget only.

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
        """The winner if its speed is proved and it gains something, else its successor if that is and does.

        The successor is the best of those that are fast enough for all that is known, else of those that may be: where
        only the preferred ones are slow, speed would be a false reason to refuse the model. A winner whose gain was
        luck stands only where its successor does no better; and one that gains is followed by nothing that is known
        not to, so that the job ends for the reason why the winner failed.
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

        Memory is measured well only later, so where neither time nor size are gained it still may decide.
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
        """Whether the full statistic of the candidate's structure is there; one that cannot be measured has failed.

        Raises as :meth:`finalists`, where float itself cannot be measured.
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
        """The ratio that gains enough time, where time may be all that a candidate gains; 0: none."""
        asked = self._context.task.gates.min_gain
        others = replace(measured_costs(item.record, self.reference), time=None)
        return 0.0 if not asked.time or meets(others.gain, asked) else 1.0 - asked.time

    def _know(self, item: EvaluatedCandidate) -> None:
        """Put a candidate of which more is known in its place."""
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
    """Whether its memory is known, so that its gain is."""
    return item.record.steady_rss_bytes is not None


def _with_proof(gate: GateResult, latency: Latency) -> GateResult:
    """The gate of latency with what the full statistic says; any other as it is."""
    if gate.name != "max_latency_ratio":
        return gate
    passed = latency.decision is Decision.ACCEPTED
    return replace_in(gate, value=latency.ratio_p50_upper, passed=passed)
