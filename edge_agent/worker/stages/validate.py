"""The validate stage: the held-out set is opened once, for the frozen finalists, and the gates decide.

The reference is the model file as it was pushed. The output's kind was found on the search set, and a finalist's speed
by the full latency statistic; this stage only adds the proof on the held-out windows. If two finalists were frozen,
each must pass at 97.5 % confidence, and the second is judged only if the first is refused. A refusal here is final for
the job: there is no return to the search. The layers of a refused finalist, and of an accepted second one, are
explained on the held-out windows.

A labelled set that came with the model is opened after the held-out set, whatever its result, and the labels judge
accuracy. Held-out data that calibration has not seen are reported, but do not decide anything.

If the second finalist is accepted, this stage leaves it as ``chosen.json`` and ``chosen.<format>`` in its own folder.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace as replace_in
from pathlib import Path

import msgspec
from msgspec.structs import replace

from edge_agent.backends import ModelInfo, load
from edge_agent.jobs.data_summary import LabelledSet, SetSummary
from edge_agent.jobs.measured_outputs import OutputSummary
from edge_agent.jobs.outcome import Outcome, read_result
from edge_agent.jobs.precision import in_its_words
from edge_agent.jobs.result import MeasuredModel, Result
from edge_agent.jobs.task import CHOSEN_FILE, Stage
from edge_agent.quant.agreement import Judge
from edge_agent.quant.bounds import agreement_lower
from edge_agent.quant.dependence import effective_windows
from edge_agent.quant.detection.kept import with_detections
from edge_agent.quant.gates import evaluate_heldout
from edge_agent.quant.judgement import Judgement
from edge_agent.quant.limits import MIN_AGREEMENT
from edge_agent.quant.ruin import not_judged, with_outputs
from edge_agent.state.model_file import sha256_of
from edge_agent.worker.artefacts import Chosen, chosen_path, read_finalists, with_refusal
from edge_agent.worker.context import Context
from edge_agent.worker.data.dataset import DataSet, open_dataset
from edge_agent.worker.data.finding import with_more_findings
from edge_agent.worker.explain.diagnose import with_measured, worst_layers
from edge_agent.worker.explain.enough_windows import enough_heldout
from edge_agent.worker.explain.labelled_evaluation import evaluate
from edge_agent.worker.explain.unseen import Unseen
from edge_agent.worker.forms.files import copy_form, form_bytes, form_sha256, key_here, served_file
from edge_agent.worker.forms.written import NOT_WRITTEN
from edge_agent.worker.pace import Pace
from edge_agent.worker.search.fp16_better import with_fp16_finding
from edge_agent.worker.search.policy import describe
from edge_agent.worker.search.score import Score
from edge_agent.worker.search.scoring import ReferenceOutputs


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """One finalist after the held-out set."""

    finalist: Chosen
    target: Path
    """The finalist's model file."""
    served: Path
    """The file that ran: the optimised form if there is one that fits the runtime here, else the model file."""
    score: Score
    effective: float
    """The number of independent windows that the held-out set is worth."""
    judgement: Judgement
    outputs: Sequence[OutputSummary]
    labelled: LabelledSet | None
    record: MeasuredModel


def run(context: Context) -> Outcome:
    """Judge the finalists.

    Raises:
        Refusal: ``no_coverage`` or ``non_finite``, about float's own outputs on these windows.
        ContractError: a label does not fit the output.
    """
    task = context.task
    backend = load(task.format)
    info = backend.inspect(context.model_path)
    unseen = Unseen(context, info, open_dataset(context, info))
    data = unseen.data
    finalists = read_finalists(context.folder(Stage.QUANTIZE), backend.SUFFIX)
    before = read_result(context.job_dir)
    preferred, _ = finalists[0]
    judged: list[_Judged] = []
    with ReferenceOutputs(backend, context.model_path, data, "heldout", task, context.out_dir / "float.bin") as floats:
        heldout = _HeldOut(context, info, data, floats, passes=1 + len(finalists), before=before)
        judge = heldout.open(preferred)
        for finalist, target in finalists:
            judged.append(heldout.judge(judge, finalist, target))
            if judged[-1].judgement.passed:
                break
        findings, undefined = unseen.findings(floats, judge), floats.others.undefined
    reported = next((one for one in judged if one.judgement.passed), judged[0])
    if reported.judgement.passed and reported.finalist is not preferred:
        own = chosen_path(context.out_dir, backend.SUFFIX)
        shutil.copyfile(reported.target, own)
        if not copy_form(reported.target, own):
            reported = _without_form(reported)
            judged[-1] = reported
        (context.out_dir / CHOSEN_FILE).write_bytes(
            msgspec.json.format(msgspec.json.encode(reported.finalist), indent=2)
        )
    result = _result(context, before, judged, reported, undefined)
    result = replace(result, data=with_more_findings(result.data, findings))
    explained = reported.finalist is preferred  # by the search
    if not (explained and reported.judgement.passed):
        layers = worst_layers(context, backend, data, "heldout", reported.finalist.spec)
        result = replace(result, layers=with_measured(layers, before.layers if explained else ()))
    if not reported.judgement.passed:
        refused = Outcome(code=reported.judgement.code, message=reported.record.message or "", results=result)
        return with_fp16_finding(refused, task)
    form = form_sha256(reported.served.parent) if reported.served != reported.target else None
    return Outcome(results=result, model_sha256=sha256_of(reported.target), form_sha256=form or msgspec.UNSET)


def _without_form(one: _Judged) -> _Judged:
    """A finalist whose form could not be left for the next stage."""
    text = f"{describe(one.record)} is served without an optimised form: {NOT_WRITTEN}"
    judgement = replace_in(one.judgement, warnings=(*one.judgement.warnings, text))
    return replace_in(one, served=one.target, judgement=judgement, record=replace(one.record, form_bytes=None))


class _HeldOut:
    """The held-out set, with float's outputs after :meth:`open`."""

    def __init__(
        self,
        context: Context,
        info: ModelInfo,
        data: DataSet,
        floats: ReferenceOutputs,
        *,
        passes: int,
        before: Result,
    ) -> None:
        self._context = context
        self._task = context.task
        self._size_bytes = info.size_bytes
        self._in_time = data.ordered_in_time or bool(context.task.state)
        self._floats = floats
        self._before = before
        labelled = before.data.eval.windows if before.data.eval is not None else 0
        rows = passes * floats.windows + 2 * (passes - 1) * labelled
        self._step = floats.windows / rows
        self._labelled_step = 2 * labelled / rows
        self._done = 0.0

    def open(self, preferred: Chosen) -> Judge:
        """Run float; returns a judge that has seen its outputs."""
        self._floats.others.settle(preferred.others)
        self._floats.run(self._pace("held-out set, float window"), runtime=preferred.reference.runtime or "")
        judge = self._floats.judge(self._floats.meaning(preferred.output, None))
        judge.check_coverage()
        return judge

    def judge(self, judge: Judge, finalist: Chosen, target: Path) -> _Judged:
        """Judge one finalist on the held-out windows, and on the labelled set if there is one."""
        task, windows, confidence = self._task, self._floats.windows, finalist.confidence
        served = served_file(target, key_here(load(task.format), finalist.record.runtime or ""))
        own_bytes = form_bytes(served.parent) if served != target else 0
        score = self._floats.score(
            served, judge, self._pace("held-out set, window"), runtime=finalist.record.runtime or ""
        )
        effective = effective_windows(windows, score.design_effect(in_time=self._in_time))
        measured = score.measured(
            windows_effective=effective,
            size_ratio=(target.stat().st_size + own_bytes) / self._size_bytes,
            latency_ratio_lower=finalist.ratio_lower,
            latency_ratio_upper=finalist.record.ratio_p50_upper,
            rows_of="--heldout" if task.arrays is not None else "",
            confidence=confidence,
        )
        evaluation = None
        if task.eval:
            begin, self._done = self._done, self._done + self._labelled_step
            evaluation = evaluate(self._context, finalist, served, begin=begin, end=self._done)
        labelled = evaluation.measured if evaluation is not None else None
        outputs = score.outputs(task.gates, in_time=self._in_time, confidence=confidence)
        judgement = with_outputs(evaluate_heldout(task.gates, judge.meaning.kind, measured, labelled), outputs)
        judgement = with_detections(judgement, score.detections)
        labelled_set = self._before.data.eval
        if evaluation is not None:
            by_label = [gate for gate in judgement.gates if gate.on == "eval" and gate.name == "max_accuracy_drop"]
            labelled_set = replace(evaluation.shown, decides=bool(by_label))
        record = score.recorded(
            replace(finalist.record, form_bytes=own_bytes or None),
            windows_effective=effective,
            agreement_lower=agreement_lower(score.disagreements * effective / windows, effective, confidence),
            confidence=confidence,
            gates=list(judgement.gates),
            code=judgement.code or None,
            message=judgement.message or None,
        )
        record = in_its_words(record)
        return _Judged(
            finalist=finalist,
            target=target,
            served=served,
            score=score,
            effective=effective,
            judgement=judgement,
            outputs=outputs,
            labelled=labelled_set,
            record=record,
        )

    def _pace(self, what: str) -> Pace:
        begin, self._done = self._done, self._done + self._step
        return Pace(self._context, what, self._floats.windows, begin=begin, end=self._done)


def _result(
    context: Context, before: Result, judged: Sequence[_Judged], reported: _Judged, undefined: Sequence[str]
) -> Result:
    """The result object, completed by this stage.

    ``reported``: the finalist of the verdict; ``undefined``: the other outputs that float leaves undefined.
    """
    score, effective, task = reported.score, reported.effective, context.task
    windows, asked = len(score.agreed), task.gates.min_agreement
    enough = enough_heldout(
        windows,
        score.disagreements,
        effective=effective,
        limit=MIN_AGREEMENT if asked is None else asked,
        confidence=reported.finalist.confidence,
        arrays=task.arrays is not None,
    )
    accuracy = score.accuracy
    candidates: Sequence[MeasuredModel] = before.candidates
    for one in judged:
        if not one.judgement.passed:
            candidates = with_refusal(candidates, one.finalist.number, one.record)
    return replace(
        before,
        reference=replace(reported.finalist.reference, accuracy=None if accuracy is None else accuracy[0]),
        chosen=reported.record,
        candidates=list(candidates),
        finalist=reported.finalist.number,
        data=replace(
            before.data,
            heldout=replace(before.data.heldout or SetSummary(windows=windows), windows_effective=effective),
            eval=reported.labelled,
            enough=replace(before.data.enough, heldout=enough),
            outputs=list(reported.outputs),
            detections=score.detections,
            classes=score.losses(),
            warnings=[
                *before.data.warnings,
                *reported.judgement.warnings,
                *not_judged(reported.outputs, undefined),
                *_of_the_others(judged, reported),
            ],
        ),
    )


def _of_the_others(judged: Sequence[_Judged], reported: _Judged) -> list[str]:
    """A sentence on each finalist that the verdict is not about."""
    ended = "the other one passed" if reported.judgement.passed else "the other one was refused as well"
    return [
        f"two finalists were judged, each at {100 * one.finalist.confidence:g} %: {describe(one.record)} was refused "
        f"({one.judgement.code}: {one.record.message}); {ended}"
        for one in judged
        if one is not reported
    ]
