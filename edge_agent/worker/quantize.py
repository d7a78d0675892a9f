"""The quantize stage: search over candidates on the search set, and freeze the one that is to be judged.

Order and choice are :mod:`.search`'s, building and measuring :mod:`.candidates`'. A finalist gets the full latency
statistic before anybody opens the held-out set; if it fails, the next follows. Leaves ``candidates.json`` and, if a
candidate is left, ``chosen.json`` with ``chosen.<format>``.
"""

import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from edge_agent.backends import Backend, CandidateSpec, load
from edge_agent.errors import ModelError, StageError
from edge_agent.quant.agreement import Meaning
from edge_agent.task import Outcome, Stage, Task, read_results
from edge_agent.wire.manifest import Output
from edge_agent.worker.calibrate import Ranges, prepared_path, read_ranges
from edge_agent.worker.candidates import Workbench, timed
from edge_agent.worker.carry import Carrier
from edge_agent.worker.context import Context
from edge_agent.worker.dataset import DataSet, open_dataset
from edge_agent.worker.diagnose import suspects, worst_layers
from edge_agent.worker.greedy import Sensitivity
from edge_agent.worker.latency import MOST, Decision, Latency
from edge_agent.worker.mending import ENOUGH, fill_up, leave_float, measured
from edge_agent.worker.pace import Pace
from edge_agent.worker.probe import write_feeds
from edge_agent.worker.result import MAX_CANDIDATES, Record
from edge_agent.worker.scoring import FloatSet
from edge_agent.worker.search import (
    Structure,
    Tried,
    by_speed,
    closest,
    describe,
    finalists,
    pareto,
    plan,
    structure,
    why_none,
    worth_scoring,
)
from edge_agent.worker.sensitivity import measure

CHOSEN_FILE = "chosen.json"
CANDIDATES_FILE = "candidates.json"
_LEAST_BUDGET_S = 60.0
_BUDGET_PASSES = 40
_LABELS_SEEN = 64
_SCREENED, _SCORED, _COMPARED, _PROVED = 0.15, 0.45, 0.6, 0.95
_SENSITIVITY_S = 10.0
_SENSITIVITY_SHARE = 0.25
"""Of the time that is left, for finding what each rounding costs."""
_COMPARISON_SHARE = 0.5
"""Of the budget; afterwards nothing is measured that is only there to be compared with."""


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """``chosen.json``: the one candidate that the held-out set is opened for."""

    number: int
    """Its place among the candidates."""
    spec: CandidateSpec
    record: Record
    reference: Record
    output: Output
    """What the judged output means, as it was found on the search set."""
    ratio_lower: float | None
    """The latency ratio's lower bound; its upper one is in the record."""


def chosen_path(folder: Path, suffix: str) -> Path:
    """Where the chosen model lies in the stage's folder."""
    return folder / f"chosen{suffix}"


def read_chosen(folder: Path) -> Chosen:
    """What the quantize stage left in ``folder``."""
    try:
        return msgspec.json.decode((folder / CHOSEN_FILE).read_bytes(), type=Chosen)
    except (OSError, msgspec.DecodeError) as error:
        raise StageError("stage_crashed", f"{folder / CHOSEN_FILE}: {error}") from None


def run(context: Context) -> Outcome:
    """Search, and leave the best candidate, or say why there is none.

    Raises:
        RecipeError: the recipe asks for what is not available here.
        ModelError: the float model fails.
        Refusal: ``non_finite`` if float's own outputs are NaN or Inf.
    """
    task = context.task
    backend = load(task.format)
    info = backend.inspect(context.model_path)
    data = open_dataset(context, info)
    layers = backend.layers(prepared_path(context.folder(Stage.CALIBRATE), backend.SUFFIX))
    specs = plan(
        task.recipe,
        {layer.operator for layer in layers},
        {layer.operator for layer in layers if layer.weights is not None},
        core=backend.core_operators(),
        products=backend.product_operators(),
    )
    del layers  # they hold every weight
    ranges = read_ranges(context.folder(Stage.CALIBRATE))
    feeds = context.out_dir / "feeds.npz"
    write_feeds(feeds, Carrier(task.state, info).feeds(next(iter(data.rows("search")))))
    with FloatSet(backend, context.model_path, data, "search", task, context.out_dir / "float.bin") as floats:
        floats.run(Pace(context, "running float, window", floats.windows, begin=0.0, end=0.05))
        meaning = floats.meaning(task.output, _labels(data))
        bench = Workbench(context, backend, info, ranges, floats=floats, judge=floats.judge(meaning), feeds=feeds)
        search = _Search(context, bench, floats.windows, budget_s=_budget_s(task, ranges))
        search.score(specs)
        search.extend(specs, partial(measure, context, backend, info, data))
        chosen = search.prove_speed()
        if chosen is not None:
            shutil.copyfile(bench.build(chosen.spec), chosen_path(context.out_dir, backend.SUFFIX))
            _write(context.out_dir / CHOSEN_FILE, search.freeze(chosen, meaning))
        context.progress(_PROVED, "looking at each layer", force=True)
        explained = _explained(context, backend, data, bench, search, chosen or closest(search.tried))
    records = search.records()
    _write(context.out_dir / CANDIDATES_FILE, records)
    shutil.rmtree(context.out_dir / "candidates")
    feeds.unlink()
    results = {
        "reference": search.reference.as_dict(),
        "candidates": [record.as_dict() for record in records],
        "layers": explained,
        "data": {
            "output": {"kind": meaning.kind, "found": meaning.found},
            "warnings": [*read_results(context.job_dir)["data"]["warnings"], *search.warnings()],
        },
    }
    code, message = ("", "") if chosen is not None else why_none(search.tried)
    return Outcome(code=code, message=message, results=results)


def _write(path: Path, value: Any) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=2))


def _budget_s(task: Task, ranges: Ranges) -> float:
    return task.recipe.search_budget_s or max(_LEAST_BUDGET_S, _BUDGET_PASSES * ranges.float_pass_s)


def _explained(
    context: Context, backend: Backend, data: DataSet, bench: Workbench, search: "_Search", one: Tried | None
) -> list[dict[str, Any]]:
    """The worst layers of one candidate, with what leaving them float costs."""
    if one is None:
        return []
    plain = replace(one.spec, float_layers=())
    layers = worst_layers(context, backend, data, "search", one.spec, search.known.get(plain))
    costs = bench.float_costs(plain, suspects(layers, one.spec))
    return [{**layer, "float_cost_ms": costs.get(layer["name"])} for layer in layers]


def _labels(data: DataSet) -> list[Any] | None:
    """A few labels, only to see of what type they are: of the search set, else of the held-out set."""
    for split in ("search", "heldout"):
        labels = [row.label for row in islice(data.rows(split), _LABELS_SEEN) if row.label is not None]
        if labels:
            return labels
    return None


class _Search:
    """One run over the candidates of one model."""

    def __init__(self, context: Context, bench: Workbench, windows: int, *, budget_s: float) -> None:
        self._context = context
        self._bench = bench
        self._windows = windows
        self._begun = time.monotonic()
        self._budget_s = budget_s
        self._fraction = _SCREENED / 2
        self._screened: dict[Structure, Record] = {}
        self.reference: Record = bench.reference
        self._ratio_lower: float | None = None
        self.tried: list[Tried] = []
        self.known: dict[CandidateSpec, Sensitivity] = {}

    def _left_s(self) -> float:
        return self._begun + self._budget_s - time.monotonic()

    def score(self, specs: list[CandidateSpec]) -> None:
        """Screen each structure once, then score candidates from the fastest on, until none can be faster.

        Where no structure of a method can be built per channel, the same is tried per tensor.
        """
        self._screen(specs)
        built = {method for method, *_ in self._screened}
        again = [replace(spec, per_channel=False) for spec in specs if spec.method not in built]
        self._screen(again)
        self._fraction = _SCREENED
        order = by_speed({key: record.ratio_p50 or 0.0 for key, record in self._screened.items()}, [*specs, *again])
        share = (_SCORED - _SCREENED) / max(len(order), 1)
        for number, spec in enumerate(order):
            late = number > 0 and self._left_s() < 0
            if late or not worth_scoring(self._screened[structure(spec)].ratio_p50 or 0.0, self.tried):
                break
            self._score(spec, self._fraction + share)

    def extend(self, planned: list[CandidateSpec], measure: Callable[..., Sensitivity]) -> None:
        """Candidates with float layers, and further ones to compare with, as far as the budget goes."""

        def sensitivity(spec: CandidateSpec) -> Sensitivity:
            if spec not in self.known:
                self._context.progress(self._fraction, "looking for the layers that cost accuracy", force=True)
                seconds = min(_SENSITIVITY_S, self._left_s() * _SENSITIVITY_SHARE)
                self.known[spec] = measure(spec, seconds=seconds)
            return self.known[spec]

        leave_float(self.tried, self._attempt, sensitivity, lambda: self._left_s() > 0)
        spare = self._budget_s * (1 - _COMPARISON_SHARE)
        fill_up(self.tried, planned, self._attempt, lambda: self._left_s() > spare)

    def _attempt(self, spec: CandidateSpec) -> Tried | None:
        """Measure a candidate beyond those planned; None if it cannot be built."""
        if structure(spec) not in self._screened:
            self._screen([spec])
        if structure(spec) not in self._screened:
            return None
        return self._score(spec, self._fraction + (_COMPARED - self._fraction) / 4)

    def _score(self, spec: CandidateSpec, end: float) -> Tried | None:
        """Score a candidate whose structure was screened; ``end``: how far the stage is then."""
        what = f"trying {describe(self._bench.blank(spec))}, window"
        pace = Pace(self._context, what, self._windows, begin=self._fraction, end=end)
        self._fraction = end
        try:
            self.tried.append(self._bench.score(spec, self._screened[structure(spec)], pace))
        except ModelError as error:
            self._drop(spec, error)
            return None
        return self.tried[-1]

    def _screen(self, specs: Iterable[CandidateSpec]) -> None:
        """The speed of each structure that can be built, from one process each."""
        for spec in {structure(spec): spec for spec in reversed(list(specs))}.values():
            self._context.progress(self._fraction, "screening speed", force=True)
            try:
                self._screened[structure(spec)] = self._bench.screen(spec)
                self.reference = self._bench.reference
            except ModelError as error:
                self._drop(spec, error)

    def _drop(self, spec: CandidateSpec, error: ModelError) -> None:
        record = msgspec.structs.replace(self._bench.blank(spec), code=error.code, message=error.message)
        self.tried.append(Tried(spec, record, passed=False))

    def prove_speed(self) -> Tried | None:
        """The first finalist that the full latency statistic does not refuse."""
        refused: set[Structure] = set()
        for finalist in finalists(self.tried):
            if structure(finalist.spec) in refused:
                continue
            what = "measuring latency, process"
            latency = self._bench.time(finalist.spec, Pace(self._context, what, MOST, begin=_COMPARED, end=_PROVED))
            proven = self._take(finalist, latency)
            if proven.passed:
                return proven
            refused.add(structure(finalist.spec))
        return None

    def _take(self, finalist: Tried, latency: Latency) -> Tried:
        """Put the full statistic into the records of float and of the finalist."""
        self.reference = msgspec.structs.replace(timed(self.reference, latency.reference), ratio_p50=1.0)
        self._ratio_lower = latency.ratio_p50_lower
        accepted = latency.decision is Decision.ACCEPTED
        proved = {"value": latency.ratio_p50_upper, "passed": accepted}
        record = msgspec.structs.replace(
            timed(finalist.record, latency.target),
            ratio_p50=latency.ratio_p50,
            ratio_p50_upper=latency.ratio_p50_upper,
            ratio_p50_same_runtime=latency.ratio_p50_same_runtime,
            gates=[gate | proved if gate["name"] == "max_latency_ratio" else gate for gate in finalist.record.gates],
            code=None if accepted else str(latency.decision),
            message=None if accepted else latency.message,
        )
        proven = Tried(finalist.spec, record, passed=accepted)
        self.tried[self.tried.index(finalist)] = proven
        return proven

    def warnings(self) -> list[str]:
        """Why there are few candidates to compare, where there are."""
        count = measured(self.tried)
        if count >= ENOUGH:
            return []
        late = self._left_s() < self._budget_s * (1 - _COMPARISON_SHARE)
        why = (
            f"the search budget of {self._budget_s:g} s is meant for the best first; raise search_budget_s for more"
            if late
            else "the recipe and this model allow no more"
        )
        return [f"{count} candidates were measured, not {ENOUGH}: {why}"]

    def records(self) -> list[Record]:
        """What is told of each candidate, the Pareto front marked."""
        records = [item.record for item in self.tried][:MAX_CANDIDATES]
        front = pareto(records)
        return [msgspec.structs.replace(record, pareto=on) for record, on in zip(records, front, strict=True)]

    def freeze(self, chosen: Tried, meaning: Meaning) -> Chosen:
        """The candidate that the held-out set is opened for, with all that its verdict needs."""
        return Chosen(
            number=self.tried.index(chosen),
            spec=chosen.spec,
            record=chosen.record,
            reference=self.reference,
            output=meaning.output,
            ratio_lower=self._ratio_lower,
        )
