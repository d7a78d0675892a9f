"""The result of one pass of a quantized model over a set of windows, for gates and records."""

from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from edge_agent.jobs.data_summary import ClassLoss
from edge_agent.jobs.measured_outputs import DetectionsKept, OutputSummary
from edge_agent.jobs.result import MeasuredModel
from edge_agent.quant.bounds import CONFIDENCE
from edge_agent.quant.class_recall import ClassCounts
from edge_agent.quant.dependence import design_effect
from edge_agent.quant.findings import Measured
from edge_agent.quant.float_skill import FloatSkill
from edge_agent.quant.grouped_metrics import GroupedMetrics
from edge_agent.wire.manifest import Gates
from edge_agent.worker.search.other_outputs import Comparison

_MOST_LABELS = 20


@dataclass(slots=True)
class Score:
    """The result of one pass of a quantized model over a set, or of a part of one. Lists follow the order of the rows.

    Attributes:
        places: the place of each window in the set.
        agreed: whether each window agrees with float.
        argmax_agreed: whether each window agrees if the output is read as a classifier's; only if the kind was found
            to be raw and the output could be a classifier's.
        nearness: how near each window came to a disagreement; shows their dependence in time while they are few.
        correct: (float is right, int8 is right) for rows with labels.
        by_label: label → number of windows that carry it, and how many of them float and int8 get right; only if the
            output gives classes or sides of a threshold.
        classes: what int8 keeps of each class that float gives; with labels that float fits, only correct ones count.
        given: the same over all rows, without regard to labels.
        skill: how well float fits its labels.
        groups: the recording of each window.
        metrics: error of the judged output over all windows.
        judged: the summary of the judged output.
        others: the comparison of the model's other outputs.
        detections: for a detector, the boxes of float that int8 keeps.
    """

    places: list[int] = field(default_factory=list)
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

    def put_in_order(self) -> None:
        """Sort the windows into the order of the rows, because dependence is found between neighbours."""
        order = np.argsort(self.places).tolist()
        self.places = [self.places[number] for number in order]
        self.agreed = [self.agreed[number] for number in order]
        self.nearness = [self.nearness[number] for number in order]
        self.groups = [self.groups[number] for number in order]

    def count_label(self, label: Any, *, float_right: bool, int8_right: bool) -> None:
        """Count one window that carries ``label``."""
        values = np.asarray(label).reshape(-1).tolist()
        key = values[0] if len(values) == 1 else tuple(values)
        windows, float_count, int8_count = self.by_label.get(key, (0, 0, 0))
        self.by_label[key] = windows + 1, float_count + float_right, int8_count + int8_right

    def losses(self) -> list[ClassLoss]:
        """The labels that int8 gets right less often than float, largest loss first."""
        lost = [ClassLoss(label, *counts) for label, counts in self.by_label.items() if counts[2] < counts[1]]
        return sorted(lost, key=lambda one: one.int8_right - one.float_right)[:_MOST_LABELS]

    def outputs(
        self, gates: Gates, *, in_time: bool | None = None, confidence: float = CONFIDENCE
    ) -> list[OutputSummary]:
        """The summary of every output, the judged one first; arguments as in :meth:`Comparison.summaries`."""
        others = [] if self.others is None else self.others.summaries(gates, in_time=in_time, confidence=confidence)
        return [*([self.judged] if self.judged is not None else []), *others]

    @property
    def disagreements(self) -> int:
        """The number of windows in which int8 disagrees with float."""
        return self.agreed.count(False)

    @property
    def agreement(self) -> float | None:
        """The share of windows in which int8 agrees with float; None without windows."""
        return 1 - self.disagreements / len(self.agreed) if self.agreed else None

    @property
    def accuracy(self) -> tuple[float, float] | None:
        """The shares of labelled windows that float and int8 get right; None without labels."""
        if not self.correct:
            return None
        count = len(self.correct)
        return sum(right for right, _ in self.correct) / count, sum(right for _, right in self.correct) / count

    def design_effect(self, *, in_time: bool) -> float:
        """How many windows count as one independent window; ``in_time``: whether they follow each other in time."""
        disagree = [not agreed for agreed in self.agreed]
        return design_effect(disagree, self.nearness, self.groups, in_time=in_time)

    def recorded(self, model: MeasuredModel, **others: Any) -> MeasuredModel:
        """``model`` with the results of this pass, and with the fields ``others``."""
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
        """The measurements for the gates; ``device``: further fields of ``Measured`` that this device measured."""
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
