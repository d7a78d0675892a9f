"""The tried candidates. Each further one is built, screened and scored in the order that takes less time."""

from collections.abc import Sequence
from dataclasses import replace as replace_spec

from msgspec.structs import replace

from edge_agent.backends import CandidateSpec
from edge_agent.errors import ModelError
from edge_agent.jobs.result import MeasuredModel
from edge_agent.quant.gain import meets
from edge_agent.worker.context import Context
from edge_agent.worker.pace import Pace
from edge_agent.worker.search.closeness import with_penalties
from edge_agent.worker.search.doubt import WORTH_ASKING, may_stand
from edge_agent.worker.search.evaluator import CandidateEvaluator
from edge_agent.worker.search.freezing import with_chances
from edge_agent.worker.search.policy import EvaluatedCandidate, Structure, describe, most_time, structure
from edge_agent.worker.search.preference import costs


class Trials:
    """The candidates that one search has tried.

    Attributes:
        tried: every candidate, in the order tried.
        screened: structure → the record of its screening.
        fraction: the progress of the stage.
    """

    def __init__(
        self, context: Context, evaluator: CandidateEvaluator, windows: int, tried: list[EvaluatedCandidate]
    ) -> None:
        self._context = context
        self._evaluator = evaluator
        self._windows = windows
        self.tried = tried
        self.screened: dict[Structure, MeasuredModel] = {}
        self.fraction = 0.0

    @property
    def ratios(self) -> dict[Structure, float]:
        """The screened ratio of each structure."""
        return {key: record.ratio_p50 or 0.0 for key, record in self.screened.items()}

    def may_gain(self, spec: CandidateSpec) -> bool:
        """Whether a candidate's structure may gain something according to its screening; true without a screening."""
        screened = self.screened.get(structure(spec))
        if screened is None:
            return True
        return meets(costs(screened, self._evaluator.reference).gain, self._context.task.gates.min_gain)

    def screen(self, specs: Sequence[CandidateSpec]) -> None:
        """Measure each structure's speed roughly; candidates that may win are measured again before one is chosen."""
        self._context.progress(self.fraction, "screening speed", force=True)
        first = {structure(spec): spec for spec in reversed(specs)}
        for spec, found in self._evaluator.screen(list(first.values()), processes=1).items():
            if isinstance(found, ModelError):
                self.drop(spec, found)
            else:
                self.screened[structure(spec)] = found

    def attempt(self, spec: CandidateSpec, planned: CandidateSpec, share: float) -> EvaluatedCandidate | None:
        """Screen and score a candidate, unless it was tried before; None if it cannot be built.

        If the speed of its structure is unknown, the candidate is scored first, because a failing pass ends sooner than
        a screening. If the planned candidate has passed, it is screened first, because it mostly passes with more float
        layers as well.

        Args:
            spec: the candidate.
            planned: the planned candidate that it was made from, whose serving option it uses until its own is known.
            share: the progress of the stage for this candidate.
        """
        if (before := next((item for item in self.tried if _same(item.spec, spec)), None)) is not None:
            return before if before.record.agreement is not None else None
        if structure(spec) not in self.screened and self._has_passed(planned):
            self.screen([spec])
            if structure(spec) not in self.screened:
                return None
        if structure(spec) in self.screened:
            return self.score(spec, share)
        like = self.screened.get(structure(planned), self._evaluator.reference)
        try:
            self._evaluator.load(spec, like)
        except ModelError as error:
            self.drop(spec, error)
            return None
        item = self.score(spec, share, like)
        return item if item is None or not item.passed else self._with_speed(item)

    def let_stand(self, item: EvaluatedCandidate) -> None:
        """Count a doubtful candidate as passed if it may be fast enough.

        The current entry for ``item`` is used, because later trials update its chance.
        """
        item = next(one for one in self.tried if one.spec == item.spec)
        known = item if structure(item.spec) in self.screened else self._with_speed(item)
        most = most_time(self._context.task.gates)
        if known is None or not may_stand(known) or (known.record.ratio_p50 or 0.0) > most:
            return
        place = next(place for place, one in enumerate(self.tried) if one is known)
        chance = WORTH_ASKING if known.prospect is None else known.chance
        self.tried[place] = replace_spec(known, passed=True, chance=chance)

    def _with_speed(self, item: EvaluatedCandidate) -> EvaluatedCandidate | None:
        """Screen a candidate that was scored first; None if it cannot be served."""
        self.tried.remove(item)
        self.screen([item.spec])
        screened = self.screened.get(structure(item.spec))
        if screened is None:
            return None
        if screened.runtime != item.record.runtime:  # its outputs differ slightly there
            return self.score(item.spec, 0.0)
        return self._add(self._evaluator.with_speed(item, screened))

    def score(self, spec: CandidateSpec, share: float, like: MeasuredModel | None = None) -> EvaluatedCandidate | None:
        """Score a candidate; None if it cannot be built.

        Args:
            spec: the candidate.
            share: the progress of the stage for this candidate.
            like: a record with the serving option, if its structure was not screened.
        """
        what = f"trying {describe(self._evaluator.blank(spec))}, window"
        end = self.fraction + share
        pace = Pace(self._context, what, self._windows, begin=self.fraction, end=end, timed=False)
        self.fraction = end
        screened = self.screened.get(structure(spec))
        try:
            item = self._evaluator.score(spec, screened or like or self._evaluator.reference, pace)
        except ModelError as error:
            self.drop(spec, error)
            return None
        return self._add(item if screened is None else self._evaluator.with_speed(item, screened))

    def _has_passed(self, planned: CandidateSpec) -> bool:
        return any(item.passed and structure(item.spec) == structure(planned) for item in self.tried)

    def _add(self, item: EvaluatedCandidate) -> EvaluatedCandidate:
        self.tried.append(item)
        self.tried[:] = with_penalties(with_chances(self.tried), self._context.task.recipe.prefer)
        return self.tried[-1]

    def drop(self, spec: CandidateSpec, error: ModelError) -> None:
        """Count a candidate as one that cannot be built."""
        record = replace(self._evaluator.blank(spec), code=error.code, message=error.message)
        self.tried.append(EvaluatedCandidate(spec, record, passed=False))


def _same(one: CandidateSpec, other: CandidateSpec) -> bool:
    """Whether two candidates are the same; the order of their float layers does not matter."""
    if set(one.float_layers) != set(other.float_layers):
        return False
    return replace_spec(one, float_layers=()) == replace_spec(other, float_layers=())
