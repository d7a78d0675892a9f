"""One search: screens, scores, extends and proves candidates within a budget, and reports its progress.

:mod:`.policy` plans and ranks, :mod:`.mixed_precision` goes beyond the plan, and :mod:`.evaluator` builds and measures.
The search opens no set other than the search set.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from msgspec.structs import replace as replace_in

from edge_agent.backends import CandidateSpec, Method
from edge_agent.errors import ModelError
from edge_agent.jobs.precision import in_its_words
from edge_agent.jobs.result import MAX_CANDIDATES, MeasuredModel
from edge_agent.strict import counted
from edge_agent.worker.context import Context
from edge_agent.worker.measure.comparison import expected_s
from edge_agent.worker.search.budget import Budget, more
from edge_agent.worker.search.doubt import likeliest
from edge_agent.worker.search.evaluator import CandidateEvaluator
from edge_agent.worker.search.forms import FormTrials
from edge_agent.worker.search.freezing import Finalist
from edge_agent.worker.search.layer_selection import Sensitivity
from edge_agent.worker.search.listing import pareto, select_for_report
from edge_agent.worker.search.mending import Graph
from edge_agent.worker.search.mixed_precision import ENOUGH, measured, top_up_candidates, try_mixed_precision
from edge_agent.worker.search.plain import KEPT_SHARE, OVERRUN_SHARE
from edge_agent.worker.search.policy import COARSE, EvaluatedCandidate, most_time, structure, worth_scoring
from edge_agent.worker.search.preference import tie
from edge_agent.worker.search.rounds import by_speed, halving
from edge_agent.worker.search.speed_proof import SpeedProof
from edge_agent.worker.search.trials import Trials

PROVED = 0.95
"""The progress of the stage at the end of the search."""
_SCREENED, _SCORED, _COMPARED = 0.15, 0.45, 0.6
_SENSITIVITY_S = 10.0
_SENSITIVITY_SHARE = 0.25
"""The part of the remaining time for measuring the cost of each rounding."""
_MENDING_SHARE = 0.3
"""The part of the budget reserved for float layers."""
_COMPARISON_SHARE = 0.5
"""The part of the budget after which no candidate is measured only for comparison."""
TOO_LARGE = "the search for layers to leave float was skipped: it needs more memory for this model"


class Search:
    """One run over the candidates of one model.

    Attributes:
        tried: every candidate, in the order tried.
        reference: the float model, with its last measured latency.
        known: candidate → the effect of each rounding on the output, if measured.
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
        self.tried: list[EvaluatedCandidate] = []
        self._trials = Trials(context, evaluator, windows, self.tried)
        self._budget = Budget(budget_s)
        self.reference: MeasuredModel = evaluator.reference
        self._warnings = list(warnings)
        self.known: dict[CandidateSpec, Sensitivity] = {}
        self._starts: set[tuple[str, ...]] = {()}

    def left_s(self) -> float:
        """The seconds left of the budget; negative when it is spent."""
        return self._budget.left_s()

    def score(self, specs: list[CandidateSpec]) -> None:
        """Screen each structure once, then score candidates in the order of :mod:`.rounds`."""
        self._starts.update(spec.float_layers for spec in specs)
        self._trials.fraction = _SCREENED / 2
        self._trials.screen(specs)
        self.reference = self._evaluator.reference
        self._budget.keep(expected_s(self.reference.latency_p50_ms or 0.0))
        self._trials.fraction = _SCREENED
        share = (_SCORED - _SCREENED) / max(len(specs), 1)
        limit = most_time(self._context.task.gates)
        apart = tie(self._context.task.recipe.prefer, COARSE)
        for number, spec in enumerate(halving(self._trials.ratios, specs, limit, self.tried, apart)):
            fits = self._budget.leaves(_MENDING_SHARE) if number > 0 else self._budget.allows(self._pass_s(spec))
            if not fits:
                break
            if worth_scoring(self._trials.screened[structure(spec)], self.tried, apart):
                self._trials.score(spec, share)

    def come_back(self, specs: Sequence[CandidateSpec]) -> None:
        """Score the skipped planned candidates if none that gains has passed, as far as the budget goes."""
        known = {item.spec for item in self.tried}
        for spec in by_speed(self._trials.ratios, specs, most_time(self._context.task.gates)):
            if self._found or not self._budget.leaves(KEPT_SHARE):
                break
            if spec not in known and self._may_do_better(spec):
                self._attempt(spec)

    def try_mixed_precision(self, measure: Callable[..., Sensitivity], methods: Sequence[Method], graph: Graph) -> None:
        """Try candidates of ``methods`` with float layers, as far as the budget goes.

        ``measure``: returns a candidate's sensitivity within ``seconds``; ``graph``: the layers to begin with.
        """

        def sensitivity(spec: CandidateSpec) -> Sensitivity:
            if spec not in self.known:
                self._context.progress(self._trials.fraction, "looking for the layers that cost accuracy", force=True)
                seconds = min(_SENSITIVITY_S, self.left_s() * _SENSITIVITY_SHARE)
                self.known[spec] = measure(spec, seconds=seconds)
            return self.known[spec]

        def in_time() -> bool:
            return self._budget.leaves(0.0 if self._found else KEPT_SHARE)

        try:
            self._warnings += try_mixed_precision(
                self.tried, self._attempt, sensitivity, in_time, methods=methods, graph=graph, starts=self._starts
            )
        except MemoryError:
            self.warn(TOO_LARGE)

    def try_plain(self, recipes: Iterable[CandidateSpec]) -> None:
        """Try the runtime's plain recipes if no candidate that gains is likely to pass: one of them may still pass."""
        known = {item.spec for item in self.tried}
        for spec in recipes:
            if not self._is_sure and spec not in known and self._is_worth_a_pass(spec) and self._may_do_better(spec):
                self._attempt(spec)

    def _is_worth_a_pass(self, spec: CandidateSpec) -> bool:
        """Whether a plain recipe may be fast enough, and a pass of the search set fits into its time."""
        ratio = self._trials.screened.get(structure(spec), self.reference).ratio_p50 or 0.0
        fast = ratio <= most_time(self._context.task.gates)
        return fast and self._budget.leaves(-OVERRUN_SHARE, self._pass_s(spec))

    def _pass_s(self, spec: CandidateSpec) -> float:
        """The seconds of a candidate's calls in a pass of the search set; float's if it was not screened."""
        known = self._trials.screened.get(structure(spec), self.reference)
        return self._windows * (known.latency_p50_ms or 0.0) / 1000.0

    def _may_do_better(self, spec: CandidateSpec) -> bool:
        """Whether nothing has passed, or this candidate may gain something."""
        return not any(item.passed for item in self.tried) or self._trials.may_gain(spec)

    @property
    def _found(self) -> bool:
        return any(item.worth_it for item in self.tried)

    @property
    def _is_sure(self) -> bool:
        return any(item.worth_it and item.likely_to_pass for item in self.tried)

    def planned(self, spec: CandidateSpec) -> CandidateSpec:
        """The planned candidate from which ``spec`` was made by leaving further layers float; ``spec`` if planned."""
        within = [start for start in self._starts if set(start) <= set(spec.float_layers)]
        return replace(spec, float_layers=max(within, key=len))

    def compare(self, planned: list[CandidateSpec]) -> None:
        """Measure further candidates for comparison, in the first part of the budget."""
        in_time = lambda: self._budget.leaves(1 - _COMPARISON_SHARE)  # noqa: E731  # asked at each step
        top_up_candidates(self.tried, planned, self._attempt, in_time)

    def let_doubtful_stand(self) -> None:
        """If nothing that gains has passed, admit the few candidates that the held-out set may still accept."""
        if not self._found:
            for item in likeliest(self.tried):
                self._trials.let_stand(item)

    def _attempt(self, spec: CandidateSpec) -> EvaluatedCandidate | None:
        """Measure a candidate beyond those planned; None if it cannot be built."""
        return self._trials.attempt(spec, self.planned(spec), (_COMPARED - self._trials.fraction) / 4)

    def prove_speed(self, forms: FormTrials) -> list[Finalist]:
        """The finalists that the full latency statistic does not refuse, preferred one first; two at most.

        ``forms`` makes the forms of float and of finalists. Its time does not count against the budget, so that it
        costs neither a second finalist nor what follows the proof.
        """
        self.reference = self._evaluator.reference
        span = _COMPARED, PROVED
        proof = SpeedProof(
            self._context,
            self._evaluator,
            self.tried,
            forms=forms,
            left_s=lambda: self.left_s() + forms.seconds,
            span=span,
        )
        found = proof.finalists()
        self._budget.extend(forms.seconds)
        self.reference = proof.reference
        self._warnings += [*proof.warnings, *forms.warnings]
        return found

    @property
    def more(self) -> str:
        """The settings for a longer search."""
        return more(self._budget.seconds, self._context.task.stage_timeout_s)

    def refuse(self, spec: CandidateSpec, error: ModelError) -> None:
        """Count a candidate as one that cannot be built."""
        self._trials.drop(spec, error)

    def warn(self, warning: str) -> None:
        """Add a warning to the report."""
        self._warnings.append(warning)

    def warnings(self) -> list[str]:
        """The warnings for the report, with the reason if there are only few candidates to compare."""
        count = measured(self.tried)
        if count >= ENOUGH:
            return self._warnings
        late, budget_s = not self._budget.leaves(1 - _COMPARISON_SHARE), self._budget.seconds
        why = (
            f"the search budget of {budget_s:g} s goes to the most promising candidates; for more, set {self.more}"
            if late
            else "the recipe and this model allow no more"
        )
        were = f"{counted(count, 'candidate')} {'was' if count == 1 else 'were'} measured"
        return [*self._warnings, f"{were}, not {ENOUGH}: {why}"]

    def records(self, chosen: Sequence[EvaluatedCandidate]) -> tuple[list[MeasuredModel], list[int]]:
        """The records of the candidates with the Pareto front marked, and the places of the chosen ones."""
        items = select_for_report(self.tried, chosen, MAX_CANDIDATES)
        records = [in_its_words(item.record) for item in items]
        marked = [replace_in(record, pareto=on) for record, on in zip(records, pareto(records), strict=True)]
        places = {id(item): place for place, item in enumerate(items)}
        return marked, [places[id(item)] for item in chosen]
