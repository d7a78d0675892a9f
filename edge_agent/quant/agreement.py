"""What an output means, and whether int8 still says what float says about a window.

What agreement is, each kind says for itself (:mod:`edge_agent.quant.kinds`). Here is found which kind an output is of,
and judged window by window: the caller runs float over the set once and shows every output to :meth:`Judge.observe`;
then the judge answers. Outputs come with or without their batch axis of one. A target that is not finite never agrees.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_agent.errors import Refusal
from edge_agent.quant.class_recall import Kept
from edge_agent.quant.detection.labels import are_boxes
from edge_agent.quant.detection.match import Counts
from edge_agent.quant.detection.recognition import recognised
from edge_agent.quant.kinds import KINDS
from edge_agent.quant.kinds.detection_head import head_found
from edge_agent.quant.kinds.kind import are_fractions, row
from edge_agent.quant.scale_groups import ScaleGroup
from edge_agent.wire.manifest import Output, OutputKind

MEANING_WINDOWS = 64
"""Of so many of float's outputs it is found what they mean."""
_MEANING_BYTES = 32 << 20
_FEWEST_WINDOWS = 4
"""Fewer where they take more than that, as they are in memory together."""
_SUM_SLACK = 1e-3  # float16 softmax rows add up to 1 within this


@dataclass(frozen=True, slots=True)
class Meaning:
    """What the judged output is."""

    kind: OutputKind
    output: Output
    """With its kind and every default filled in; resolved again it stays as it is."""
    found: str
    """How the kind was found, for the report."""


def says_enough(windows: int, size: int) -> bool:
    """Whether the first of float's outputs, for so many windows and of ``size`` bytes in all, say what they mean."""
    return windows >= MEANING_WINDOWS or (windows >= _FEWEST_WINDOWS and size >= _MEANING_BYTES)


def first_of(outputs: Iterable[NDArray[Any]]) -> list[NDArray[Any]]:
    """The first of float's outputs, as many as say what they mean."""
    sample: list[NDArray[Any]] = []
    size = 0
    for output in outputs:
        sample.append(output)
        size += output.nbytes
        if says_enough(len(sample), size):
            break
    return sample


def resolve_kind(output: Output, sample: Sequence[ArrayLike], labels: Sequence[Any] | None) -> Meaning:
    """What the output means: as the manifest says, else as float's own outputs and the labels show.

    Args:
        output: the manifest's ``[output]``.
        sample: float's outputs for some windows, the more the surer.
        labels: labels of some windows, or None.

    Raises:
        ContractError: ``shape_mismatch``: the output is not what its kind says.
    """
    arrays = [np.asarray(values) for values in sample]
    kind, found = (output.kind, "set in [output]") if output.kind else _find_kind(arrays, labels)
    resolved = KINDS[kind].resolve(output.of_kind(kind), arrays)
    if kind == "anomaly" and output.threshold is None and resolved.threshold is not None:
        found += f"; no threshold given, so the 95th percentile of float's scores: {resolved.threshold:.6g}"
    if kind == "detection_head":
        found += head_found(resolved)
    return Meaning(kind, resolved, found)


def _find_kind(outputs: list[NDArray[Any]], labels: Sequence[Any] | None) -> tuple[OutputKind, str]:
    if outputs and all(one.dtype.kind in "iub" for one in outputs):
        return "classes", "integers: the class numbers themselves"
    rows = [np.atleast_1d(np.squeeze(one)) for one in outputs]  # not as float64: they are all in memory
    label_kind = np.asarray(labels).dtype.kind if labels is not None and len(labels) else ""
    if label_kind in ("U", "S"):
        return "sequence", "labels are strings"
    if (not label_kind or are_boxes(labels)) and recognised(outputs):
        return "detection_head", "boxes beside scores, before suppression"
    if label_kind == "f":
        return "regression", "labels are floats"
    if all(one.size == 1 for one in rows):
        if label_kind in ("i", "u", "b") and set(np.asarray(labels).ravel().tolist()) <= {0, 1}:
            return "binary", "one element, and labels are 0 or 1"
        if are_fractions(rows):
            return "binary", "one element in [0, 1]"
        return "regression", "one element outside [0, 1]"
    if all(one.ndim == 1 for one in rows):
        if label_kind in ("i", "u", "b"):
            return "classes", "labels are integers"
        if are_fractions(rows) and all(abs(float(one.sum(dtype=np.float64)) - 1.0) <= _SUM_SLACK for one in rows):
            return "classes", "rows are probabilities"
    return "raw", "neither probabilities nor labels"


class Judge:
    """Decides for one output, window by window, whether target agrees with reference.

    Show it every float output first; one judge serves all candidates.
    """

    def __init__(self, meaning: Meaning) -> None:
        self.meaning = meaning
        self._kind = KINDS[meaning.kind](meaning.output)
        self._seen = 0
        self._first: NDArray[Any] | None = None
        self._varies = False

    @classmethod
    def having_seen(cls, meaning: Meaning, references: Iterable[ArrayLike]) -> Self:
        """A judge that has observed ``references``, all of float's outputs."""
        judge = cls(meaning)
        for reference in references:
            judge.observe(reference)
        return judge

    def observe(self, reference: ArrayLike) -> None:
        """Take one of float's outputs into account: for coverage, and for what the kind needs to know of them.

        Raises:
            ContractError: ``shape_mismatch``: the output is not what its kind says.
        """
        output = np.asarray(reference)
        self._seen += 1
        answer = self._kind.answer(output)
        if self._first is None:
            self._first = answer
        elif not self._varies and not self._kind.same_answer(self._first, answer):
            self._varies = True
        self._kind.observe(output)

    def check_coverage(self) -> None:
        """Raise ``Refusal`` (``no_coverage``) if float gave the same answer on every window: agreement is no proof."""
        if not self._varies:
            what = {"classes": "the same class", "binary": "the same class"}
            boxes = "the same boxes" if self._first is not None and self._first.size else "no box"
            what |= dict.fromkeys(("detection", "detection_head"), boxes)
            raise Refusal(
                "no_coverage",
                f"float gives {what.get(self.meaning.kind, 'the same output')} on all {self._seen} windows, so "
                "agreement would prove nothing; capture while the sensor sees what the model tells apart",
            )

    @property
    def groups(self) -> Sequence[ScaleGroup]:
        """Channels of like scale that are judged apart; empty: the output is judged as a whole."""
        return self._kind.groups

    @property
    def varies(self) -> bool:
        """Whether float's answer is not always the same."""
        return self._varies

    def agrees(self, reference: ArrayLike, target: ArrayLike) -> bool:
        """Whether int8 still says what float says."""
        got = np.asarray(target)
        return bool(np.isfinite(got).all()) and self._kind.agrees(np.asarray(reference), got)

    def nearness(self, reference: ArrayLike, target: ArrayLike) -> float:
        """How near the window came to a disagreement; only the order of windows means anything.

        Infinite if target is not finite, or not of float's shape where the kind has one shape.
        """
        wanted, got = np.asarray(reference), np.asarray(target)
        if not np.isfinite(got).all() or (wanted.shape != got.shape and not self._kind.ANY_SHAPE):
            return math.inf
        return self._kind.nearness(wanted, got)

    def counts_by_class(self, reference: ArrayLike, target: ArrayLike) -> dict[int, Counts] | None:
        """Of a detector, class by class, how many of float's boxes int8 has and the other way round; else None.

        A target that is not finite has none of them.
        """
        wanted, got = np.asarray(reference), np.asarray(target)
        if np.isfinite(got).all():
            return self._kind.counts_by_class(wanted, got)
        own = self._kind.counts_by_class(wanted, wanted)
        return own and {number: Counts(reference=one.reference) for number, one in own.items()}

    def kept_classes(self, reference: ArrayLike, target: ArrayLike, label: Any = None) -> Kept:
        """What int8 keeps of each class that float gives a window, rightly if there is a ``label``.

        A target that is not finite, or of another shape where the kind has one shape, keeps nothing.
        """
        wanted, got = np.asarray(reference), np.asarray(target)
        if np.isfinite(got).all():
            return self._kind.kept_classes(wanted, got, label)
        return {one: (given, 0.0) for one, (given, _) in self._kind.kept_classes(wanted, wanted, label).items()}

    def argmax_agrees(self, reference: ArrayLike, target: ArrayLike) -> bool | None:
        """Raw only: whether it would agree as a classifier; None where it cannot be one."""
        wanted, got = row(reference), row(target)
        if self.meaning.kind != "raw" or wanted.ndim != 1 or wanted.size < 2:  # noqa: PLR2004  # two classes
            return None
        return bool(np.isfinite(got).all()) and int(np.argmax(wanted)) == int(np.argmax(got))

    def correct(self, output: ArrayLike, label: Any) -> bool | None:
        """Whether an output is right; None where labels say nothing about the kind.

        Raises:
            ContractError: ``shape_mismatch``: the label does not fit the output.
        """
        return self._kind.correct(np.asarray(output), label)
