"""Evaluates the chosen candidate on the labelled set: float and int8 run over it once, after the held-out set.

Only the judged candidate sees this set, on the runtimes that would serve it and with the output kind that the search
found. The gates determine whether the result counts for the verdict.
"""

from dataclasses import dataclass
from pathlib import Path

from edge_agent.backends import load
from edge_agent.jobs.data_summary import LabelledSet
from edge_agent.quant.dependence import effective_windows
from edge_agent.quant.findings import Measured
from edge_agent.quant.labelled import LabelledOutputs, accuracy
from edge_agent.worker.artefacts import Chosen
from edge_agent.worker.capture.labelled_set import open_labelled
from edge_agent.worker.context import Context
from edge_agent.worker.pace import Pace
from edge_agent.worker.search.scoring import ReferenceOutputs


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The measurements for the gates, and the labelled set's part of the result object."""

    measured: Measured
    shown: LabelledSet


def evaluate(context: Context, chosen: Chosen, target: Path, *, begin: float, end: float) -> Evaluation:
    """Run float and the candidate in ``target`` over the labelled set; progress goes from ``begin`` to ``end``.

    Raises:
        Refusal: ``non_finite``: float itself returns NaN or Inf.
        ContractError: a label does not fit the output, or the file has changed.
    """
    task = context.task
    backend = load(task.format)
    data = open_labelled(context, backend.inspect(context.model_path))
    half = (begin + end) / 2.0
    with ReferenceOutputs(backend, context.model_path, data, "eval", task, context.out_dir / "labelled.bin") as floats:
        pace = Pace(context, "labelled set, float window", floats.windows, begin=begin, end=half)
        floats.run(pace, runtime=chosen.reference.runtime or "")
        judge = floats.judge(floats.meaning(chosen.output, None))
        outputs = LabelledOutputs(judge.meaning.kind, judge.meaning.output)
        pace = Pace(context, "labelled set, window", floats.windows, begin=half, end=end)
        score = floats.score(target, judge, pace, runtime=chosen.record.runtime or "", on_label=outputs.add)
    effect = score.design_effect(in_time=bool(task.state))
    effective = effective_windows(floats.windows, effect)
    measured = score.measured(windows_effective=effective, rows_of="--eval", confidence=chosen.confidence)
    share = accuracy(measured)
    metrics = [*([share] if share is not None else []), *outputs.metrics(effect)]
    shown = LabelledSet(
        windows=floats.windows,
        windows_effective=effective,
        agreement=score.agreement,
        metrics=metrics,
        classes=score.losses(),
    )
    return Evaluation(measured, shown)
