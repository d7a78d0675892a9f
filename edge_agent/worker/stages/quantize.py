"""The quantize stage: search over candidates on the search set, and freeze the one or two that are to be judged.

The search itself is :mod:`edge_agent.worker.search.search`. A finalist gets the full latency statistic before anybody
opens the held-out set; if it fails, the next follows. Leaves ``candidates.json`` and, if a candidate is left,
``chosen.json`` with ``chosen.<format>``; ``second.json`` with ``second.<format>`` where a second one makes the job
likelier to end accepted. Where an optimised form is served in place of one of these, or of float, it leaves that, too.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import msgspec

from edge_agent.backends import Backend
from edge_agent.contract import first_output
from edge_agent.errors import Refusal
from edge_agent.jobs.data_summary import OutputKindFound
from edge_agent.jobs.outcome import Outcome, read_result
from edge_agent.jobs.result import LayerLoss, MeasuredModel
from edge_agent.jobs.task import CHOSEN_FILE, FLOAT_FORM, Stage
from edge_agent.quant.agreement import Meaning
from edge_agent.quant.bounds import CONFIDENCE
from edge_agent.wire.manifest import Output
from edge_agent.worker.artefacts import (
    SECOND_FILE,
    Chosen,
    chosen_path,
    read_answers,
    second_path,
)
from edge_agent.worker.capture.labelled_set import check_kind
from edge_agent.worker.context import Context
from edge_agent.worker.data.dataset import DataSet
from edge_agent.worker.data.label_sample import label_sample, labels_of
from edge_agent.worker.explain.diagnose import suspects, worst_layers
from edge_agent.worker.forms.files import copy_form, form_sha256
from edge_agent.worker.forms.written import NOT_WRITTEN
from edge_agent.worker.measure.memory import called_bytes
from edge_agent.worker.measure.question import Served
from edge_agent.worker.pace import Pace
from edge_agent.worker.search.budget import SCREENING_SHARE, budget_s, shortened
from edge_agent.worker.search.evaluator import CandidateEvaluator, HeldOut
from edge_agent.worker.search.forms import FormTrials
from edge_agent.worker.search.fp16 import compare_fp16, without_overflow
from edge_agent.worker.search.fp16_better import with_fp16_finding
from edge_agent.worker.search.freezing import SHARED_CONFIDENCE, Finalist
from edge_agent.worker.search.mixed_precision import ENOUGH, measured
from edge_agent.worker.search.plain import plain_recipes
from edge_agent.worker.search.policy import FLOAT16, EvaluatedCandidate, closest, describe, plan
from edge_agent.worker.search.prepared import Prepared, graph_of, prepare, space_of, tail_of
from edge_agent.worker.search.refusal import why_none
from edge_agent.worker.search.scoring import ReferenceOutputs
from edge_agent.worker.search.search import PROVED, TOO_LARGE, Search
from edge_agent.worker.search.sensitivity import fits, measure
from edge_agent.worker.search.unplanned import why_unplanned

CANDIDATES_FILE = "candidates.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What the search ended with."""

    search: Search
    finalists: Sequence[tuple[Finalist, Path]]
    """Those that the held-out set is opened for, with their files, the preferred one first: two at most."""
    meaning: Meaning
    others: dict[str, Output]
    """What the other outputs mean."""
    layers: list[LayerLoss]
    fp16: MeasuredModel | None
    """What was measured of fp16, where the recipe leaves it out."""


def run(context: Context) -> Outcome:
    """Search, and leave the best candidate, or say why there is none.

    Raises:
        RecipeError: the recipe asks for what is not available here.
        ModelError: the float model fails.
        Refusal: ``non_finite`` if float's own outputs are NaN or Inf; ``output_kind_needed`` if the labels that came
            with the model say nothing about what the outputs are found to be; ``no_candidate`` if the recipe's method
            has no form of any of the model's layers.
    """
    prepared = prepare(context)
    if not plan(space_of(context.task, prepared)):
        bound = prepared.ranges.float_layers
        raise Refusal("no_candidate", why_unplanned(context.task.recipe, prepared.flow.nodes, bound))
    found = _search(context, prepared)
    prepared.feeds.unlink()
    return _publish(context, prepared, found)


def _search(context: Context, prepared: Prepared) -> _Found:
    """Run float, then the search over the candidates, and explain the layers of the best."""
    task, backend, info, data = context.task, prepared.backend, prepared.info, prepared.data
    with ReferenceOutputs(backend, context.model_path, data, "search", task, context.out_dir / "float.bin") as floats:
        pace = Pace(context, "running float, window", floats.windows, begin=0.0, end=0.05, timed=False)
        known = read_answers(context.folder(Stage.CALIBRATE))
        floats.run(pace, runtime=prepared.ranges.runtimes[0], known=known)
        meaning = floats.meaning(first_output(task), label_sample(data))
        check_kind(context.folder(Stage.CAPTURE), meaning)
        labelled = bool(labels_of(data, "heldout"))
        asked_s = task.recipe.search_budget_s
        seconds = budget_s(asked_s, prepared.ranges.float_pass_s, task.stage_timeout_s)
        evaluator = CandidateEvaluator(
            context,
            backend,
            info,
            prepared.ranges,
            floats=floats,
            judge=floats.judge(meaning),
            feeds=prepared.feeds,
            options=prepared.served,
            heldout=HeldOut(data.count("heldout"), labelled, data.ordered_in_time or bool(task.state)),
            screening_s=SCREENING_SHARE * seconds,
        )
        notes = filter(None, [*prepared.notes, shortened(asked_s, task.stage_timeout_s)])
        search = Search(context, evaluator, floats.windows, budget_s=seconds, warnings=list(notes))
        space = space_of(task, prepared)
        planned = without_overflow(plan(space, tail_of(task, prepared, meaning.kind)), context, prepared, search)
        search.score(planned)
        if fits(task.memory_bytes, info.size_bytes):
            float_model = Served(str(context.model_path), prepared.ranges.runtimes[0])
            called = cache(partial(called_bytes, float_model, prepared.feeds))
            sensitivity = partial(measure, context, backend, info, data, called)
            search.try_mixed_precision(sensitivity, backend.SWITCHED, graph_of(prepared))
        else:
            search.warn(TOO_LARGE)
        search.come_back(planned)
        search.try_plain(plain_recipes(space))
        search.compare(planned)
        search.let_doubtful_stand()
        proved = search.prove_speed(FormTrials(context, backend, info, data, evaluator))
        if not proved and search.left_s() <= 0 and measured(search.tried) >= ENOUGH:  # fewer are told of anyway
            search.warn(f"the search ended at its budget of {seconds:g} s: {search.more} may find more")
        frozen = [(one, evaluator.build(one.item.spec, one.item.record.runtime or "")) for one in proved]
        context.progress(PROVED, "looking at each layer", force=True)
        layers = _explained(context, backend, data, evaluator, search, _foremost(search, proved))
        fp16 = compare_fp16(context, prepared, evaluator, search)
        others = floats.others.meanings()
    return _Found(search=search, finalists=frozen, meaning=meaning, others=others, layers=layers, fp16=fp16)


def _publish(context: Context, prepared: Prepared, found: _Found) -> Outcome:
    """Leave the candidates and the finalists' files, and say what was found."""
    search, meaning, finalists = found.search, found.meaning, found.finalists
    records, numbers = search.records([finalist.item for finalist, _ in finalists])
    _write(context.out_dir / CANDIDATES_FILE, records)
    confidence = CONFIDENCE if len(finalists) < 2 else SHARED_CONFIDENCE  # noqa: PLR2004  # two share the held-out set
    places = ((CHOSEN_FILE, chosen_path), (SECOND_FILE, second_path))
    for (finalist, model), number, (file, path) in zip(finalists, numbers, places, strict=False):
        frozen, chosen = path(context.out_dir, model.suffix), _frozen(finalist, number, found, confidence)
        shutil.copyfile(model, frozen)
        if not copy_form(model, frozen):
            search.warn(f"{describe(chosen.record)} is served without an optimised form: {NOT_WRITTEN}")
            chosen = msgspec.structs.replace(chosen, record=msgspec.structs.replace(chosen.record, form_bytes=None))
        _write(context.out_dir / file, chosen)
    shutil.rmtree(context.out_dir / "candidates")
    before = read_result(context.job_dir)
    explained = _foremost(search, [finalist for finalist, _ in finalists])
    result = msgspec.structs.replace(
        before,
        reference=search.reference,
        fp16=found.fp16,
        candidates=records,
        finalist=next(iter(numbers), None),
        layers=found.layers,
        data=msgspec.structs.replace(
            before.data,
            output=OutputKindFound(meaning.kind, meaning.found),
            output_options=meaning.output,
            outputs=list(explained.outputs) if explained is not None else [],
            warnings=[*before.data.warnings, *search.warnings()],
        ),
    )
    code, message = ("", "") if finalists else why_none(search.tried, prepared.no_products)
    own = form_sha256(context.out_dir / FLOAT_FORM)
    outcome = Outcome(code=code, message=message, results=result, form_sha256=own or msgspec.UNSET)
    return with_fp16_finding(outcome, context.task)


def _write(path: Path, value: Any) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=2))


def _foremost(search: Search, finalists: Sequence[Finalist]) -> EvaluatedCandidate | None:
    """The candidate to explain: the preferred finalist, else the closest of all that ran, int8 before float16."""
    if finalists:
        return finalists[0].item
    return closest(item for item in search.tried if item.spec != FLOAT16) or closest(search.tried)


def _frozen(finalist: Finalist, number: int, found: _Found, confidence: float) -> Chosen:
    """A candidate that the held-out set is opened for, with all that its verdict needs."""
    return Chosen(
        number=number,
        spec=finalist.item.spec,
        record=finalist.item.record,
        reference=finalist.reference,
        output=found.meaning.output,
        ratio_lower=finalist.ratio_lower,
        confidence=confidence,
        others=found.others,
    )


def _explained(
    context: Context,
    backend: Backend,
    data: DataSet,
    evaluator: CandidateEvaluator,
    search: Search,
    one: EvaluatedCandidate | None,
) -> list[LayerLoss]:
    """The worst layers of one candidate, with what leaving them float costs."""
    if one is None:
        return []
    planned = replace(one, spec=search.planned(one.spec))
    layers = worst_layers(context, backend, data, "search", one.spec, search.known.get(planned.spec))
    asked = [name for name in suspects(layers, one.spec) if name not in planned.spec.float_layers]
    costs = evaluator.float_costs(planned, asked) if search.left_s() > 0 else {}
    return [msgspec.structs.replace(layer, float_cost_ms=costs.get(layer.name)) for layer in layers]
