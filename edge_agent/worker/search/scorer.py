"""Compares a quantized model's outputs with float's, window by window, in any order."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from edge_agent.backends import Array, Feeds
from edge_agent.quant.agreement import Judge
from edge_agent.quant.detection.kept import KeptBoxes
from edge_agent.quant.float_skill import FloatSkill
from edge_agent.quant.grouped_metrics import GroupedMetrics
from edge_agent.wire.manifest import OutputKind
from edge_agent.worker.data.dataset import Row
from edge_agent.worker.search.other_outputs import OtherOutputs, summarise
from edge_agent.worker.search.score import Score

OnLabel = Callable[[Any, Array, Array], None]
"""Called for each labelled row with its label, float's output and int8's output."""

_SIDES_OR_CLASSES: tuple[OutputKind, ...] = ("classes", "binary", "anomaly")


class Run(NamedTuple):
    """One window's run: its place in the set, the inputs, all outputs, and the judged output."""

    place: int
    row: Row
    feeds: Feeds
    outputs: Sequence[Array]
    judged: Array


class Scorer:
    """Compares int8 with float, window by window.

    Attributes:
        score: the result of the windows so far.
    """

    def __init__(self, judge: Judge, others: OtherOutputs, *, kind_found: bool, on_label: OnLabel | None) -> None:
        self._judge = judge
        self._kind_found = kind_found
        self._on_label = on_label
        self._skill = FloatSkill(judge.meaning.kind)
        self._boxes = KeptBoxes()
        self._others = others.compare()
        self.score = Score(metrics=GroupedMetrics(judge.groups), skill=self._skill)

    def add(self, one: Run, reference: Array) -> bool:
        """Compare one window with float's output; return whether nothing in it counts against int8."""
        score, judge, output = self.score, self._judge, one.judged
        self._others.add(one.place, one.row.group, one.feeds, one.outputs)
        agreed = judge.agrees(reference, output)
        score.places.append(one.place)
        score.agreed.append(agreed)
        if (counts := judge.counts_by_class(reference, output)) is not None:
            self._boxes.add(counts)
        if self._kind_found and (as_class := judge.argmax_agrees(reference, output)) is not None:
            score.argmax_agreed.append(as_class)
        score.groups.append(one.row.group)
        score.nearness.append(judge.nearness(reference, output))
        if output.shape == reference.shape:
            score.metrics.add(reference, output)
        kept = judge.kept_classes(reference, output)
        score.given.add(kept)
        if one.row.label is None:
            score.classes.add(kept)
            return agreed
        return not self._lost(one.row.label, reference, output) and agreed

    def _lost(self, label: Any, reference: Array, output: Array) -> bool:
        """Compare with the label; return whether float is right and int8 is wrong."""
        score, judge = self.score, self._judge
        rightly = judge.kept_classes(reference, output, label)
        score.classes.add(rightly)
        float_right, int8_right = judge.correct(reference, label), judge.correct(output, label)
        if float_right is None or int8_right is None:
            return False
        score.correct.append((float_right, int8_right))
        self._skill.add(label, reference, rightly)
        if judge.meaning.kind in _SIDES_OR_CLASSES:
            score.count_label(label, float_right=float_right, int8_right=int8_right)
        if self._on_label is not None:
            self._on_label(label, reference, output)
        return float_right and not int8_right

    def finished(self, name: str) -> Score:
        """The final score after the last window; ``name``: the name of the judged output."""
        score, judge = self.score, self._judge
        if score.measured().labels_doubtful:  # labels of another meaning would misjudge the classes
            score.classes = score.given
        score.put_in_order()
        score.detections = self._boxes.summary()
        score.judged = summarise(
            name, judge.meaning, len(score.agreed), score.disagreements, score.metrics, score.classes
        )
        score.others = self._others
        return score
