"""How far a quantized model is from the original float file on one set of windows.

The float outputs are computed once a stage and kept on disk (:mod:`edge_agent.worker.data.float_outputs`); each
candidate then runs over the same rows, one at a time. The reference is always the model as it was pushed, never the
prepared one.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import numpy as np

from edge_agent.backends import Array, Backend, Feeds, Session
from edge_agent.contract import first_output
from edge_agent.contract.carried_state import CarriedState
from edge_agent.contract.scored_output import ScoredOutput
from edge_agent.errors import Refusal
from edge_agent.jobs.measured_outputs import DetectionsKept, OutputSummary
from edge_agent.jobs.result import ClassLoss, MeasuredModel
from edge_agent.jobs.task import Task
from edge_agent.quant.agreement import Judge, Meaning, first_of, resolve_kind
from edge_agent.quant.bounds import CONFIDENCE
from edge_agent.quant.class_recall import ClassCounts
from edge_agent.quant.dependence import design_effect
from edge_agent.quant.detection.kept import KeptBoxes
from edge_agent.quant.findings import Measured
from edge_agent.quant.float_skill import FloatSkill
from edge_agent.quant.grouped_metrics import GroupedMetrics
from edge_agent.wire.manifest import Gates, Output, OutputKind
from edge_agent.worker.data.dataset import DataSet, Row
from edge_agent.worker.data.float_outputs import OutputStore
from edge_agent.worker.data.split import Split
from edge_agent.worker.search.other_outputs import Comparison, OtherOutputs, summarise

OnRow = Callable[[int], None]
"""Told after each row how many are done."""
OnLabel = Callable[[Any, Array, Array], None]
"""Told of each labelled row: its label, float's output and int8's."""

_MOST_LABELS = 20
_SIDES_OR_CLASSES: tuple[OutputKind, ...] = ("classes", "binary", "anomaly")


@dataclass(slots=True)
class Score:
    """What one pass of a quantized model over a set showed. Lists are in the order of the rows.

    Attributes:
        agreed: whether the window agrees with float.
        nearness: how near the window came to a disagreement, which tells how those lie in time while they are few.
        argmax_agreed: the same as if it were a classifier; only where the kind was found to be raw and it
            could be one.
        correct: (float is right, int8 is right) where the rows have labels.
        by_label: label → windows that carry it, and how many of them float and int8 have right; where the output says
            classes or sides of a threshold.
        classes: what int8 keeps of each class that float gives, rightly where the rows have labels that float fits.
        given: the same of all rows.
        skill: how float fits its labels.
        groups: the recording that each window is from.
        metrics: error of the judged output over all windows.
        judged: what became of the judged output.
        others: what became of the model's other outputs.
        detections: of a detector, what int8 keeps of float's boxes.
    """

    agreed: list[bool] = field(default_factory=list)
    argmax_agreed: list[bool] = field(default_factory=list)
    nearness: list[float] = field(default_factory=list)
    correct: list[tuple[bool, bool]] = field(default_factory=list)
    by_label: dict[Any, tuple[int, int, int]] = field(default_factory=dict)
    classes: ClassCounts = field(default_factory=ClassCounts)
    given: ClassCounts = field(default_factory=ClassCounts)
    skill: FloatSkill | None = None
    groups: list[int | None] = field(default_factory=list)
    metrics: GroupedMetrics = field(default_factory=GroupedMetrics)
    judged: OutputSummary | None = None
    others: Comparison | None = None
    detections: DetectionsKept | None = None

    def count_label(self, label: Any, *, float_right: bool, int8_right: bool) -> None:
        """Count one window that carries ``label``."""
        values = np.asarray(label).reshape(-1).tolist()
        key = values[0] if len(values) == 1 else tuple(values)
        windows, float_count, int8_count = self.by_label.get(key, (0, 0, 0))
        self.by_label[key] = windows + 1, float_count + float_right, int8_count + int8_right

    def losses(self) -> list[ClassLoss]:
        """The labels of which int8 has fewer right than float, the largest loss first."""
        lost = [ClassLoss(label, *counts) for label, counts in self.by_label.items() if counts[2] < counts[1]]
        return sorted(lost, key=lambda one: one.int8_right - one.float_right)[:_MOST_LABELS]

    def outputs(
        self, gates: Gates, *, in_time: bool | None = None, confidence: float = CONFIDENCE
    ) -> list[OutputSummary]:
        """What became of every output, the judged one first; arguments as of :meth:`Comparison.summaries`."""
        others = [] if self.others is None else self.others.summaries(gates, in_time=in_time, confidence=confidence)
        return [*([self.judged] if self.judged is not None else []), *others]

    @property
    def disagreements(self) -> int:
        """Windows where int8 says something else."""
        return self.agreed.count(False)

    @property
    def agreement(self) -> float | None:
        """Share of the windows where int8 says what float says; None without windows."""
        return 1 - self.disagreements / len(self.agreed) if self.agreed else None

    @property
    def accuracy(self) -> tuple[float, float] | None:
        """Share of labelled windows that float and int8 have right; None without labels."""
        if not self.correct:
            return None
        count = len(self.correct)
        return sum(right for right, _ in self.correct) / count, sum(right for _, right in self.correct) / count

    def design_effect(self, *, in_time: bool) -> float:
        """How many windows count as one; ``in_time``: they follow each other in time."""
        disagree = [not agreed for agreed in self.agreed]
        return design_effect(disagree, self.nearness, self.groups, in_time=in_time)

    def recorded(self, model: MeasuredModel, **others: Any) -> MeasuredModel:
        """``model`` with what this pass showed, and with ``others``, by the names of its fields."""
        accuracy = self.accuracy
        return msgspec.structs.replace(
            model,
            windows=len(self.agreed),
            disagreements=self.disagreements,
            agreement=self.agreement,
            sqnr_db=self.metrics.sqnr_db,
            cosine=self.metrics.whole.cosine,
            max_abs_error=self.metrics.whole.max_abs_error,
            accuracy=None if accuracy is None else accuracy[1],
            **others,
        )

    def measured(self, *, windows_effective: float | None = None, **device: Any) -> Measured:
        """What the gates need to know of it; ``device``: what this device measured, by the names of ``Measured``."""
        return Measured(
            windows=len(self.agreed),
            windows_effective=len(self.agreed) if windows_effective is None else windows_effective,
            disagreements=self.disagreements,
            argmax_disagreements=self.argmax_agreed.count(False) if self.argmax_agreed else None,
            lost=self.correct.count((True, False)) if self.correct else None,
            won=self.correct.count((False, True)) if self.correct else None,
            float_right=sum(right for right, _ in self.correct) if self.correct else None,
            commonest_label=None if self.skill is None else self.skill.commonest,
            worse_than_constant="" if self.skill is None else self.skill.worse,
            sqnr_db=self.metrics.sqnr_db,
            sqnr_of=self.metrics.worst,
            classes=self.classes.counts,
            classes_given=self.given.counts,
            **device,
        )


class ReferenceOutputs:
    """One set of windows with the float model's judged output for each.

    Use as a context manager: the outputs lie in a scratch file.

    Attributes:
        windows: how many there are.
        others: the model's other outputs.
    """

    def __init__(self, backend: Backend, model: Path, data: DataSet, split: Split, task: Task, scratch: Path) -> None:
        """Open the set; nothing runs yet.

        Args:
            backend: the model's format.
            model: the float model as pushed.
            data: where the rows come from.
            split: which set.
            task: declared state and the output to judge.
            scratch: where the outputs are kept until the set is closed.
        """
        self._backend = backend
        self._data = data
        self._split = split
        self._task = task
        self._info = backend.inspect(model)
        self._model = model
        self._judged = ScoredOutput(self._info, task)
        self._store = OutputStore(scratch)
        self.windows = data.count(split)
        self.others = OtherOutputs(self._info, task, scratch, self.windows)

    def run(self, on_row: OnRow, *, runtime: str, known: Array | None = None) -> None:
        """Compute the float outputs.

        Args:
            on_row: told how many are done.
            runtime: the one to run float on.
            known: ``[windows, ...]``, what is judged of each, where float has been run over them on that runtime and
                the model has no other outputs; None, or of another length: float is run.

        Raises:
            Refusal: ``non_finite`` if the float model itself answers with NaN or Inf.
        """
        if known is not None and len(known) == self.windows:
            for done, output in enumerate(known, start=1):
                self._keep(done, output)
            return
        for done, (_, output, every) in enumerate(self._outputs(self._backend.open(self._model, runtime=runtime)), 1):
            self.others.keep(done - 1, *every)
            self._keep(done, output)
            on_row(done)

    def _keep(self, done: int, output: Array) -> None:
        if not np.isfinite(output).all():
            text = f"float's own output for {self._split} window {done} is NaN or Inf"
            raise Refusal("non_finite", f"{text}; check the model and what it is fed")
        self._store.append(output)

    def meaning(self, output: Output, labels: Sequence[Any] | None) -> Meaning:
        """What the output means, from the first of float's outputs and whatever labels there are."""
        return resolve_kind(output, first_of(self._store), labels)

    def judge(self, meaning: Meaning) -> Judge:
        """A judge that has seen all of float's outputs."""
        return Judge.having_seen(meaning, self._store)

    def answers(self) -> Iterator[Array]:
        """Float's judged output, window by window, once it has run."""
        return iter(self._store)

    def score(
        self, target: Path, judge: Judge, on_row: OnRow, *, runtime: str, on_label: OnLabel | None = None
    ) -> Score:
        """Run the quantized model in ``target`` over the set on the runtime that would serve it; compare with float."""
        skill = FloatSkill(judge.meaning.kind)
        score = Score(metrics=GroupedMetrics(judge.groups), skill=skill)
        kind_found = first_output(self._task).kind is None
        others, boxes = self.others.compare(), KeptBoxes()
        outputs = self._outputs(self._backend.open(target, runtime=runtime))
        for done, ((row, output, every), reference) in enumerate(zip(outputs, self._store, strict=True), start=1):
            others.add(done - 1, row.group, *every)
            agreed = judge.agrees(reference, output)
            score.agreed.append(agreed)
            if (counts := judge.counts_by_class(reference, output)) is not None:
                boxes.add(counts)
            if kind_found and (as_class := judge.argmax_agrees(reference, output)) is not None:
                score.argmax_agreed.append(as_class)
            score.groups.append(row.group)
            score.nearness.append(judge.nearness(reference, output))
            if output.shape == reference.shape:
                score.metrics.add(reference, output)
            kept = rightly = judge.kept_classes(reference, output)
            if row.label is not None:
                rightly = judge.kept_classes(reference, output, row.label)
            score.given.add(kept)
            score.classes.add(rightly)
            if row.label is not None:
                right = judge.correct(reference, row.label), judge.correct(output, row.label)
                if right[0] is not None and right[1] is not None:
                    score.correct.append((right[0], right[1]))
                    skill.add(row.label, reference, rightly)
                    if judge.meaning.kind in _SIDES_OR_CLASSES:
                        score.count_label(row.label, float_right=right[0], int8_right=right[1])
                    if on_label is not None:
                        on_label(row.label, reference, output)
            on_row(done)
        if score.measured().labels_doubtful:  # labels of something else call right what is lost, and wrong what counts
            score.classes = score.given
        score.detections = boxes.summary()
        name = self._info.outputs[self._judged.position].name
        score.judged = summarise(
            name, judge.meaning, len(score.agreed), score.disagreements, score.metrics, score.classes
        )
        score.others = others
        return score

    def _outputs(self, session: Session) -> Iterator[tuple[Row, Array, tuple[Feeds, Sequence[Array]]]]:
        """Each row, what is judged of it, and the whole run: what was fed, and all outputs."""
        carried = CarriedState(self._task.state, self._info)
        for row in self._data.rows(self._split):
            feeds = carried.feeds(row)
            outputs = session.run(feeds)
            carried.keep(outputs)
            yield row, self._judged(feeds, outputs), (feeds, outputs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._store.close()
        self.others.close()
