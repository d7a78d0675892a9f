"""The quantize stage: searches over candidates on the search set, and freezes one or two finalists for the verdict.

The search itself is :mod:`edge_agent.worker.search.search`. Each finalist gets the full latency statistic before the
held-out set is opened; if it fails, the next candidate follows. The stage leaves ``candidates.json`` and, if a
candidate is left, ``chosen.json`` with ``chosen.<format>``. It leaves ``second.json`` with ``second.<format>`` if a
second finalist makes the job more likely to end accepted. If an optimised form is served in place of a finalist or of
float, the stage leaves that form as well.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import msgspec

from edge_agent.backends import Backend, CandidateSpec
from edge_agent.contract import first_output
from edge_agent.errors import EdgeAgentError, Refusal
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
    """The results of the search."""

    search: Search
    finalists: Sequence[tuple[Finalist, Path]]
    """The finalists for the held-out set with their files, preferred one first: two at most."""
    meaning: Meaning
    others: dict[str, Output]
    """The resolved options of the other outputs."""
    layers: list[LayerLoss]
    fp16: MeasuredModel | None
    """The measurements of fp16, if the recipe does not accept it."""


def run(context: Context) -> Outcome:
    """Search, and leave the best candidates, or report why there is none.

    Raises:
        RecipeError: the recipe requests something that is not available here.
        ModelError: the float model fails.
        Refusal: ``non_finite`` if float's own outputs are NaN or Inf; ``output_kind_needed`` if the labels that came
            with the model do not fit the output kind that was found; ``no_candidate`` if the recipe's method supports
            none of the model's layers.
    """
    prepared = prepare(context)
    if not plan(space_of(context.task, prepared)):
        return _unplanned(context, prepared)
    found = _search(context, prepared)
    prepared.feeds.unlink()
    return _publish(context, prepared, found)


def _unplanned(context: Context, prepared: Prepared) -> Outcome:
    """Refuse a recipe without an int8 form of any layer, and compare fp16 if possible."""
    why = why_unplanned(context.task.recipe, prepared.flow.nodes, prepared.ranges.float_layers)
    refused = Refusal("no_candidate", why)
    if context.task.recipe.io == "int8":  # the comparison excludes fp16
        raise refused
    try:
        found = _search(context, prepared)
    except (EdgeAgentError, MemoryError, OSError) as error:  # the comparison is optional, the refusal is not
        raise refused from error
    prepared.feeds.unlink()
    return _publish(context, prepared, found, refused)


def _search(context: Context, prepared: Prepared) -> _Found:
    """Run float, then the search over the candidates, and explain the layers of the best; at last compare fp16."""
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
        given = plan(space_of(task, prepared), tail_of(task, prepared, meaning.kind))
        planned = without_overflow(given, context, prepared, search)
        if given:
            _try(context, prepared, search, planned)
        proved = search.prove_speed(FormTrials(context, backend, info, data, evaluator)) if given else []
        if (
            not proved and search.left_s() <= 0 and measured(search.tried) >= ENOUGH
        ):  # fewer have a warning of their own
            search.warn(f"the search ended at its budget of {seconds:g} s: {search.more} may find more")
        frozen = [(one, evaluator.files.build(one.item.spec, one.item.record.runtime or "")) for one in proved]
        context.progress(PROVED, "analysing each layer", force=True)
        layers = _explained(context, backend, data, evaluator, search, _foremost(search, proved))
        fp16 = compare_fp16(context, prepared, evaluator, search)
        if not given:  # the comparison was the first to measure float
            search.reference = evaluator.reference
        others = floats.others.meanings()
    return _Found(search=search, finalists=frozen, meaning=meaning, others=others, layers=layers, fp16=fp16)


def _try(context: Context, prepared: Prepared, search: Search, planned: list[CandidateSpec]) -> None:
    """Score the planned candidates, then further ones that may do better."""
    task, backend, info = context.task, prepared.backend, prepared.info
    search.score(planned)
    if fits(task.memory_bytes, info.size_bytes):
        float_model = Served(str(context.model_path), prepared.ranges.runtimes[0])
        called = cache(partial(called_bytes, float_model, prepared.feeds))
        sensitivity = partial(measure, context, backend, info, prepared.data, called)
        search.try_mixed_precision(sensitivity, backend.SWITCHED, graph_of(prepared))
    else:
        search.warn(TOO_LARGE)
    search.come_back(planned)
    search.try_plain(plain_recipes(space_of(task, prepared)))
    search.compare(planned)
    search.let_doubtful_stand()


def _publish(context: Context, prepared: Prepared, found: _Found, refused: Refusal | None = None) -> Outcome:
    """Write the candidates and the finalists' files; returns the outcome with the results.

    ``refused``: the refusal of a recipe without any planned candidate.
    """
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
    if refused is not None:
        code, message = refused.code, refused.message
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
    """A finalist for the held-out set, with everything that its verdict needs."""
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
    """The worst layers of one candidate, with the cost of leaving them float."""
    if one is None:
        return []
    planned = replace(one, spec=search.planned(one.spec))
    layers = worst_layers(context, backend, data, "search", one.spec, search.known.get(planned.spec))
    asked = [name for name in suspects(layers, one.spec) if name not in planned.spec.float_layers]
    costs = evaluator.float_costs(planned, asked) if search.left_s() > 0 else {}
    return [msgspec.structs.replace(layer, float_cost_ms=costs.get(layer.name)) for layer in layers]
