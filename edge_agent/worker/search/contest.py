"""A contest of what may still win a search: memory and a race put it in order. Proves nothing."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from msgspec.structs import replace as replace_in

from edge_agent.jobs.result import MeasuredModel
from edge_agent.jobs.task import Task
from edge_agent.quant.findings import latency_at_most
from edge_agent.quant.gain import meets
from edge_agent.quant.limits import latency_margin
from edge_agent.worker.measure.memory import Memory, measure_memory
from edge_agent.worker.measure.race import Raced, expected_s, race, wins
from edge_agent.worker.search.evaluator import CandidateEvaluator, timed
from edge_agent.worker.search.policy import SAME_SPEED, EvaluatedCandidate, in_order, rank_of
from edge_agent.worker.search.preference import WEIGHTS, costs, preferred, tie

SAME_TIME = 0.02
"""Raced times closer than this fraction are one time: what a race tells apart for certain is little less. A larger
``latency_margin`` takes its place."""
_REACH = 0.08
"""What was screened as so much slower than the best is not raced: a screening is seldom so far off."""
_SHORT_S = 20.0
"""A race that takes no longer is run when the budget is over, too."""

OnProcess = Callable[[int], None]


class Contest:
    """Puts candidates in order by what the recipe prefers, and measures what that takes.

    Attributes:
        reference: the float model, with its memory once that is measured.
    """

    def __init__(self, evaluator: CandidateEvaluator, task: Task, reference: MeasuredModel) -> None:
        """Nothing is measured yet.

        Args:
            evaluator: builds the candidates, and knows how each is served.
            task: what is preferred, and what gates there are.
            reference: the float model, screened.
        """
        self._evaluator = evaluator
        self._prefer = task.recipe.prefer
        self._gates = task.gates
        self._margin = max(SAME_TIME, latency_margin(task.gates))
        self.reference = reference

    def run(
        self, items: Sequence[EvaluatedCandidate], *, left_s: float, on_process: OnProcess
    ) -> list[EvaluatedCandidate]:
        """``items`` with what was measured of them, best first.

        Memory is measured where it counts, or where nothing gains in time or size; times where what was screened is too
        close, until it is decided which one is best. ``left_s``: what is left of the budget; over it, only a short race
        is run.

        Raises:
            ModelError, LimitError, StageError: as :func:`edge_agent.worker.measure.comparison.compare`.
        """
        known = self._weighed(items, on_process)
        rivals = self._rivals(known)
        best = min((item.standing for item in rivals), default=0.0)
        close = [item for item in rivals if item.standing <= best + tie(self._prefer, _REACH)]
        long_s = expected_s(self.reference.latency_p50_ms or 0.0, len(close))
        if len(close) < 2 or long_s > max(left_s, _SHORT_S):  # noqa: PLR2004  # there is nobody to race
            return in_order(known, tie(self._prefer, SAME_SPEED))

        def ordered(raced: Iterable[Raced]) -> list[EvaluatedCandidate]:
            of = dict(zip(map(id, close), raced, strict=True))
            after = [self._raced(item, of[id(item)]) if id(item) in of else item for item in known]
            return in_order(after, tie(self._prefer, self._margin))

        def decided(raced: Sequence[Raced]) -> bool:
            """Whether the one that is best is so in nearly every process: what slows one slows all that are in it."""
            best = ordered(raced)[0].spec
            alone = [[replace(one, ratio=ratio) for ratio in one.ratios] for one in raced]
            won = [ordered(process)[0].spec == best for process in zip(*alone, strict=True)]
            return wins(sum(won), len(won))

        return ordered(self._race(close, on_process, decided))

    def _race(
        self, items: Sequence[EvaluatedCandidate], on_process: OnProcess, decided: Callable[[Sequence[Raced]], bool]
    ) -> list[Raced]:
        """Times of candidates beside each other and float."""
        targets = [self._evaluator.target_served(item) for item in items]
        return race(
            self._evaluator.float_served(),
            targets,
            self._evaluator.feeds,
            margin=self._margin,
            most_bytes=self._evaluator.most_bytes,
            decided=decided,
            on_process=on_process,
        )

    def _rivals(self, items: Sequence[EvaluatedCandidate]) -> list[EvaluatedCandidate]:
        """Those of which nothing but the preference says which is best; none if it does not decide."""
        best = min(map(rank_of, items))
        return [item for item in items if rank_of(item) == best and item.likely_to_pass]

    def _weighed(self, items: Sequence[EvaluatedCandidate], on_process: OnProcess) -> list[EvaluatedCandidate]:
        """``items``, with their memory where that may decide: also of those that may gain nothing else."""
        best = min(rank_of(item)[1:] for item in items)
        rivals = [item for item in items if rank_of(item)[1:] == best and item.likely_to_pass]
        counts = WEIGHTS[self._prefer].memory or not any(item.gains for item in rivals)
        if len(rivals) < 2 or not counts:  # noqa: PLR2004  # as above
            return list(items)
        models = [self._evaluator.float_served(), *(self._evaluator.target_served(item) for item in rivals)]
        own, *others = measure_memory(models, self._evaluator.feeds, on_process, repeats=1)
        self.reference = with_memory(self.reference, own)
        weighed = dict(zip(map(id, rivals), others, strict=True))
        return [
            self._judged(item, with_memory(item.record, weighed[id(item)])) if id(item) in weighed else item
            for item in items
        ]

    def _raced(self, item: EvaluatedCandidate, raced: Raced) -> EvaluatedCandidate:
        return replace(self._judged(item, with_race(item.record, raced)), speed_error=raced.error)

    def _judged(self, item: EvaluatedCandidate, record: MeasuredModel) -> EvaluatedCandidate:
        """``item`` with this record, and what follows from it."""
        told = preferred(record, self.reference, self._prefer)
        return replace(item, record=told, gains=meets(costs(told, self.reference).gain, self._gates.min_gain))


def with_memory(record: MeasuredModel, memory: Memory) -> MeasuredModel:
    """``record`` with what serving the model takes."""
    return replace_in(record, peak_rss_bytes=memory.peak_rss_bytes, model_rss_bytes=memory.model_rss_bytes)


def with_race(record: MeasuredModel, raced: Raced) -> MeasuredModel:
    """``record`` with how the candidate ran in a race, in place of how it was screened."""
    gates, code, message = record.gates, record.code, record.message
    gate = next((one for one in gates if one.name == "max_latency_ratio"), None)
    if gate is not None and (found := latency_at_most(gate.limit or 0.0, raced.ratio, margin=gate.margin)) is not None:
        gates = [found.gate if one is gate else one for one in gates]
        code, message = (None, None) if found.gate.passed else (found.code, found.message)
    return replace_in(timed(record, raced.times), ratio_p50=raced.ratio, gates=gates, code=code, message=message)
