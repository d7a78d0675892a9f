"""A contest of the candidates that may still win a search: memory and a race rank them. Proves nothing."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from msgspec.structs import replace as replace_in

from edge_agent.jobs.result import MeasuredModel
from edge_agent.jobs.task import Task
from edge_agent.quant.findings import latency_at_most, memory_at_most
from edge_agent.quant.gain import meets
from edge_agent.quant.limits import latency_margin
from edge_agent.worker.measure import memory
from edge_agent.worker.measure.memory import Memory, kept_ratio, measure_memory, with_memory
from edge_agent.worker.measure.race import Raced, expected_s, race, wins
from edge_agent.worker.search.blame import MEASURING, blamed
from edge_agent.worker.search.evaluator import CandidateEvaluator, timed
from edge_agent.worker.search.policy import FINALISTS, SAME_SPEED, EvaluatedCandidate, in_order, rank_of
from edge_agent.worker.search.preference import WEIGHTS, costs, preferred, tie

SAME_TIME = 0.02
"""Raced times closer than this fraction count as equal; a race resolves little less with certainty. A larger
``latency_margin`` replaces it."""
_REACH = 0.08
"""A candidate that screened slower than the best by this fraction is not raced: a screening is seldom so far off."""
_SHORT_S = 20.0
"""A measurement that takes no longer than this runs even if the budget is spent."""
_TWO = 2
"""A comparison needs at least this many candidates."""

OnProcess = Callable[[int], None]
LeftS = Callable[[], float]
Items = list[EvaluatedCandidate]


class Contest:
    """Ranks candidates by the recipe's preference and makes the measurements for it.

    Attributes:
        reference: the float model, with its memory once it is measured.
    """

    def __init__(self, evaluator: CandidateEvaluator, task: Task, reference: MeasuredModel) -> None:
        """Measure nothing yet.

        Args:
            evaluator: builds the candidates and knows how each is served.
            task: the preference and the gates.
            reference: the screened float model.
        """
        self._evaluator = evaluator
        self._prefer = task.recipe.prefer
        self._gates = task.gates
        self._margin = max(SAME_TIME, latency_margin(task.gates))
        self.reference = reference

    def run(self, items: Sequence[EvaluatedCandidate], *, left_s: LeftS, on_process: OnProcess) -> Items:
        """``items`` with their measurements, best first; a candidate that cannot be measured has failed and comes last.

        Memory is measured if it counts, or if no candidate gains in time or size. Times of the first
        :data:`.policy.FINALISTS` are measured if the screened times are too close.

        Args:
            items: one candidate of each structure, best first.
            left_s: returns the seconds left of the budget; once it is spent, only short measurements run.
            on_process: called after each process of a measurement with the number of processes done.
        """
        rivals = self._to_weigh(items, left_s)
        known = self._updated(items, self._measured(rivals, lambda sound: self._weigh(sound, on_process)))
        weighed = {item.spec for item in rivals}
        ranked = FINALISTS if weighed.isdisjoint(item.spec for item in items[FINALISTS:]) else len(items)
        sound = in_order([item for item in known[:ranked] if item.passed], tie(self._prefer, SAME_SPEED))
        sound += [item for item in known[ranked:] if item.passed]  # numbers with memory and without do not compare
        first = self._compared(sound[:FINALISTS], left_s, on_process)
        passed = [item for item in first if item.passed]
        return [*passed, *sound[FINALISTS:], *(item for item in [*known, *first] if not item.passed)]

    def _to_weigh(self, items: Sequence[EvaluatedCandidate], left_s: LeftS) -> Items:
        """The candidates whose memory may decide; empty if memory does not count or measuring it takes too long.

        If only memory decides, all candidates are measured, because nothing else ranks them. If there is no time for
        all, the first ones are.
        """
        best = min(rank_of(item)[1:] for item in items[:FINALISTS])
        rivals = [item for item in items if rank_of(item)[1:] == best and item.likely_to_pass]
        weights = WEIGHTS[self._prefer]
        limited = bool(self._gates.max_memory_ratio)
        nothing_else = (
            limited or not any(item.gains for item in rivals) or weights.memory > max(weights.time, weights.size)
        )
        if not (nothing_else and self._in_time(memory.expected_s(self._float_ms, 1 + len(rivals)), left_s)):
            rivals = [item for item in items[:FINALISTS] if rank_of(item)[1:] == best and item.likely_to_pass]
        worth_it = len(rivals) >= _TWO and (nothing_else or weights.memory)
        in_time = self._in_time(memory.expected_s(self._float_ms, 1 + len(rivals)), left_s)
        return rivals if worth_it and in_time else []

    def _compared(self, items: Items, left_s: LeftS, on_process: OnProcess) -> Items:
        """``items``, best first; the close ones are raced, if that is worth it, until the best one is clear."""
        best = min(map(rank_of, items), default=None)
        rivals = [item for item in items if rank_of(item) == best and item.likely_to_pass]
        reach = min((item.standing for item in rivals), default=0.0) + tie(self._prefer, _REACH)
        close = [item for item in rivals if item.standing <= reach]
        if len(close) < _TWO or not self._in_time(expected_s(self._float_ms, len(close)), left_s):
            return items
        known = {item.spec for item in close}
        others = [item for item in items if item.spec not in known]

        def ordered(timed_items: Items, apart: float) -> Items:
            return in_order([*others, *timed_items], tie(self._prefer, apart))

        def raced(sound: Items) -> Items:
            def decided(found: Sequence[Raced]) -> bool:
                """Whether one candidate is best in nearly every process: load slows all candidates of a process."""
                best = ordered(self._after(sound, found), self._margin)[0].spec
                alone = [[replace(one, ratio=ratio) for ratio in one.ratios] for one in found]
                won = [ordered(self._after(sound, each), self._margin)[0].spec for each in zip(*alone, strict=True)]
                return wins(won.count(best), len(won))

            return self._after(sound, self._race(sound, decided, on_process))

        measured = self._measured(close, raced)
        return ordered(measured, self._margin if measured is not close else SAME_SPEED)

    def _measured(self, rivals: Items, measure: Callable[[Items], Items]) -> Items:
        """``rivals`` after ``measure``. A candidate that cannot be served alone has failed; the others are measured.

        Returns the same list if the candidates cannot be measured together and none of them is to blame.
        """
        try:
            return measure(rivals) if rivals else []
        except MEASURING:
            checked = blamed(self._evaluator, rivals)
        sound = [item for item in checked if item.passed]
        if not sound:
            return checked
        try:
            found = measure(sound) if len(sound) < len(rivals) else rivals
        except MEASURING:
            found = sound
        return found if found is rivals else [*found, *(item for item in checked if not item.passed)]

    def _weigh(self, rivals: Items, on_process: OnProcess) -> Items:
        models = [self._evaluator.float_served(), *(self._evaluator.target_served(item) for item in rivals)]
        own, *others = measure_memory(models, self._evaluator.feeds, on_process, repeats=1)
        self.reference = with_memory(self.reference, own)
        return [self._limited(item, taken, own) for item, taken in zip(rivals, others, strict=True)]

    def _limited(self, item: EvaluatedCandidate, taken: Memory, own: Memory) -> EvaluatedCandidate:
        """``item`` with its memory, judged by the memory gate if there is one."""
        record = with_memory(item.record, taken)
        ratio = kept_ratio(taken.steady_rss_bytes, own.steady_rss_bytes)
        found = memory_at_most(self._gates.max_memory_ratio or 0.0, ratio)
        if found is None:
            return self._judged(item, record)
        record = replace_in(record, gates=[*record.gates, found.gate])
        if not found.gate.passed:
            record = replace_in(record, code=found.code, message=found.message)
        return replace(self._judged(item, record), passed=item.passed and found.gate.passed)

    def _race(
        self, rivals: Items, decided: Callable[[Sequence[Raced]], bool], on_process: OnProcess
    ) -> Sequence[Raced]:
        return race(
            self._evaluator.float_served(),
            [self._evaluator.target_served(item) for item in rivals],
            self._evaluator.feeds,
            margin=self._margin,
            most_bytes=self._evaluator.most_bytes,
            decided=decided,
            on_process=on_process,
        )

    def _after(self, rivals: Items, raced: Iterable[Raced]) -> Items:
        """``rivals`` with their race results."""
        return [
            replace(self._judged(item, with_race(item.record, one)), speed_error=one.error)
            for item, one in zip(rivals, raced, strict=True)
        ]

    def _judged(self, item: EvaluatedCandidate, record: MeasuredModel) -> EvaluatedCandidate:
        """``item`` with this record, its preference number and whether it gains."""
        numbered = preferred(record, self.reference, self._prefer)
        return replace(item, record=numbered, gains=meets(costs(numbered, self.reference).gain, self._gates.min_gain))

    def _updated(self, items: Sequence[EvaluatedCandidate], measured: Items) -> Items:
        known = {item.spec: item for item in measured}
        return [known.get(item.spec, item) for item in items]

    def _in_time(self, seconds: float, left_s: LeftS) -> bool:
        return seconds <= max(left_s(), _SHORT_S)

    @property
    def _float_ms(self) -> float:
        return self.reference.latency_p50_ms or 0.0


def with_race(record: MeasuredModel, raced: Raced) -> MeasuredModel:
    """``record`` with the race result in place of the screening."""
    gates, code, message = record.gates, record.code, record.message
    gate = next((one for one in gates if one.name == "max_latency_ratio"), None)
    if gate is not None and (found := latency_at_most(gate.limit or 0.0, raced.ratio, margin=gate.margin)) is not None:
        gates = [found.gate if one is gate else one for one in gates]
        code, message = (None, None) if found.gate.passed else (found.code, found.message)
    return replace_in(timed(record, raced.times), ratio_p50=raced.ratio, gates=gates, code=code, message=message)
