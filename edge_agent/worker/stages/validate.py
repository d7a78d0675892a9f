"""The validate stage: the held-out set is opened once, for the one frozen candidate, and the gates decide.

The reference is the model file as it was pushed. What the output means and how fast the candidate is was found before,
on the search set and by the full latency statistic; here only what the held-out windows prove is new. A refusal here
is final for the job: there is no way back to the search. Its layers are explained on the held-out windows. A labelled
set that came with the model is opened after the held-out set, whatever that said, and its labels judge accuracy. What
the held-out windows hold that calibration has not seen is told of; it decides nothing.
"""

import math

from msgspec.structs import replace

from edge_agent.backends import load
from edge_agent.jobs.outcome import Outcome, read_result
from edge_agent.jobs.result import EnoughWindows, SetSummary
from edge_agent.jobs.task import Stage, Task
from edge_agent.quant.bounds import agreement_lower, windows_enough
from edge_agent.quant.dependence import effective_windows
from edge_agent.quant.detection.kept import with_detections
from edge_agent.quant.gates import MIN_AGREEMENT, evaluate_heldout
from edge_agent.quant.ruin import with_outputs
from edge_agent.worker.artefacts import chosen_path, read_chosen, with_refusal
from edge_agent.worker.context import Context
from edge_agent.worker.data.dataset import open_dataset
from edge_agent.worker.data.finding import with_more_findings
from edge_agent.worker.explain.diagnose import with_measured, worst_layers
from edge_agent.worker.explain.labelled_evaluation import evaluate
from edge_agent.worker.explain.unseen import Unseen
from edge_agent.worker.pace import Pace
from edge_agent.worker.search.scoring import ReferenceOutputs, Score


def run(context: Context) -> Outcome:
    """Judge the chosen candidate.

    Raises:
        Refusal: ``no_coverage`` or ``non_finite``, about float's own outputs on these windows.
        ContractError: a label does not fit the output.
    """
    task = context.task
    backend = load(task.format)
    info = backend.inspect(context.model_path)
    unseen = Unseen(context, info, open_dataset(context, info))
    data = unseen.data
    chosen = read_chosen(context.folder(Stage.QUANTIZE))
    target = chosen_path(context.folder(Stage.QUANTIZE), backend.SUFFIX)
    with ReferenceOutputs(backend, context.model_path, data, "heldout", task, context.out_dir / "float.bin") as floats:
        before = read_result(context.job_dir)
        labelled_windows = before.data.eval.windows if before.data.eval is not None else 0
        end = floats.windows / (floats.windows + labelled_windows)
        pace = Pace(context, "held-out set, float window", floats.windows, begin=0.0, end=end / 2)
        floats.run(pace, runtime=chosen.reference.runtime or "")
        judge = floats.judge(floats.meaning(chosen.output, None))
        judge.check_coverage()
        pace = Pace(context, "held-out set, window", floats.windows, begin=end / 2, end=end)
        score = floats.score(target, judge, pace, runtime=chosen.record.runtime or "")
        findings = unseen.findings(floats, judge)
    in_time = data.ordered_in_time or bool(task.state)
    effective = effective_windows(floats.windows, score.design_effect(in_time=in_time))
    measured = score.measured(
        windows_effective=effective,
        size_ratio=target.stat().st_size / info.size_bytes,
        latency_ratio_lower=chosen.ratio_lower,
        latency_ratio_upper=chosen.record.ratio_p50_upper,
        rows_of="--heldout" if task.arrays is not None else "",
    )
    evaluation = evaluate(context, chosen, target, begin=end) if task.eval else None
    labelled = evaluation.measured if evaluation is not None else None
    outputs = score.outputs(task.gates, in_time=in_time)
    judgement = with_outputs(evaluate_heldout(task.gates, judge.meaning.kind, measured, labelled), outputs)
    judgement = with_detections(judgement, score.detections)
    chosen_now = score.recorded(
        chosen.record,
        windows_effective=effective,
        agreement_lower=agreement_lower(score.disagreements * effective / floats.windows, effective),
        gates=list(judgement.gates),
        code=judgement.code or None,
        message=judgement.message or None,
    )
    labelled_set = before.data.eval
    if evaluation is not None:
        by_label = [gate for gate in judgement.gates if gate.on == "eval" and gate.name == "max_accuracy_drop"]
        labelled_set = replace(evaluation.shown, decides=bool(by_label))
    result = replace(
        before,
        reference=replace(chosen.reference, accuracy=None if score.accuracy is None else score.accuracy[0]),
        chosen=chosen_now,
        data=replace(
            before.data,
            heldout=replace(before.data.heldout or SetSummary(windows=floats.windows), windows_effective=effective),
            eval=labelled_set,
            enough=replace(before.data.enough, heldout=_enough(score, effective, task)),
            outputs=outputs,
            detections=score.detections,
            classes=score.losses(),
            warnings=[*before.data.warnings, *judgement.warnings],
        ),
    )
    result = replace(result, data=with_more_findings(result.data, findings))
    if not judgement.passed:
        result = replace(
            result,
            candidates=with_refusal(before.candidates, chosen.number, chosen_now),
            layers=with_measured(worst_layers(context, backend, data, "heldout", chosen.spec), before.layers),
        )
    return Outcome(code=judgement.code, message=judgement.message, results=result)


def _enough(score: Score, effective: float, task: Task) -> EnoughWindows:
    """How many held-out windows it takes to prove the agreement, at the share of disagreements that was seen."""
    asked = task.gates.min_agreement
    windows, limit = len(score.agreed), MIN_AGREEMENT if asked is None else asked
    independent = None
    if 0 < limit < 1:
        independent = windows_enough(score.disagreements, windows, limit)
    enough = None if independent is None else math.ceil(independent * windows / effective)
    return EnoughWindows(windows=windows, enough=enough, message=_enough_sentence(windows, enough, limit, task))


def _enough_sentence(windows: int, enough: int | None, limit: float, task: Task) -> str:
    if not 0 < limit < 1:
        return f"{windows} windows were judged; no agreement was to be proved"
    if enough is None:
        return f"as often as int8 disagrees, no number of windows proves an agreement of {limit:g}"
    sentence = f"{enough} such windows prove an agreement of {limit:g}; {windows} were judged"
    if enough <= windows:
        return sentence
    return f"{sentence}; " + (
        "give more rows (--heldout)" if task.arrays else f"set [recipe] heldout_windows = {enough}"
    )
