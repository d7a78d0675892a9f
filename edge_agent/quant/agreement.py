"""The meaning of an output, and the agreement of int8 with float window by window.

Each kind defines its own agreement (:mod:`edge_agent.quant.kinds`). This module finds the kind of an output and judges
windows. The caller runs float over the set once and passes every output to :meth:`Judge.observe`; after that the judge
answers. Outputs may have a batch axis of one. A target that is not finite never agrees.
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
"""Number of float's outputs from which the meaning is found."""
_MEANING_BYTES = 32 << 20
_FEWEST_WINDOWS = 4
"""Minimum number when the outputs exceed that size, as they are in memory together."""
_SUM_SLACK = 1e-3  # float16 softmax rows add up to 1 within this


@dataclass(frozen=True, slots=True)
class Meaning:
    """The meaning of the judged output."""

    kind: OutputKind
    output: Output
    """The output with its kind and all defaults filled in; resolving it again changes nothing."""
    found: str
    """How the kind was found, for the report."""


def says_enough(windows: int, size: int) -> bool:
    """Whether float's first outputs, ``windows`` of them with ``size`` bytes in all, are enough to find the meaning."""
    return windows >= MEANING_WINDOWS or (windows >= _FEWEST_WINDOWS and size >= _MEANING_BYTES)


def first_of(outputs: Iterable[NDArray[Any]]) -> list[NDArray[Any]]:
    """The first of float's outputs, as many as the meaning is found from."""
    sample: list[NDArray[Any]] = []
    size = 0
    for output in outputs:
        sample.append(output)
        size += output.nbytes
        if says_enough(len(sample), size):
            break
    return sample


def resolve_kind(output: Output, sample: Sequence[ArrayLike], labels: Sequence[Any] | None) -> Meaning:
    """The meaning of the output: from the manifest, otherwise from float's own outputs and the labels.

    Args:
        output: the manifest's ``[output]``.
        sample: float's outputs for some windows; more windows give more certainty.
        labels: labels of some windows, or None.

    Raises:
        ContractError: ``shape_mismatch``: the output does not fit its kind.
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

    It must observe every float output first; one judge serves all candidates.
    """

    def __init__(self, meaning: Meaning) -> None:
        self.meaning = meaning
        self._kind = KINDS[meaning.kind](meaning.output)
        self._seen = 0
        self._first: NDArray[Any] | None = None
        self._varies = False

    @classmethod
    def having_seen(cls, meaning: Meaning, references: Iterable[ArrayLike]) -> Self:
        """A judge that has observed ``references``, which are all of float's outputs."""
        judge = cls(meaning)
        for reference in references:
            judge.observe(reference)
        return judge

    def observe(self, reference: ArrayLike) -> None:
        """Observe one of float's outputs, for coverage and for the kind's own statistics.

        Raises:
            ContractError: ``shape_mismatch``: the output does not fit its kind.
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
        """Raise ``Refusal`` (``no_coverage``) if float's answer never changes, as agreement then proves nothing."""
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
        """Channels of similar scale that are judged separately; empty if the output is judged as a whole."""
        return self._kind.groups

    @property
    def varies(self) -> bool:
        """Whether float's answers differ between windows."""
        return self._varies

    def agrees(self, reference: ArrayLike, target: ArrayLike) -> bool:
        """Whether int8 gives the same answer as float."""
        got = np.asarray(target)
        return bool(np.isfinite(got).all()) and self._kind.agrees(np.asarray(reference), got)

    def nearness(self, reference: ArrayLike, target: ArrayLike) -> float:
        """How near the window came to a disagreement; only the order of windows has a meaning.

        Infinite if target is not finite, or has another shape than float where the kind has one shape.
        """
        wanted, got = np.asarray(reference), np.asarray(target)
        if not np.isfinite(got).all() or (wanted.shape != got.shape and not self._kind.ANY_SHAPE):
            return math.inf
        return self._kind.nearness(wanted, got)

    def counts_by_class(self, reference: ArrayLike, target: ArrayLike) -> dict[int, Counts] | None:
        """For a detector, per class, how many of float's boxes int8 finds and vice versa; None for other kinds.

        A target that is not finite finds none.
        """
        wanted, got = np.asarray(reference), np.asarray(target)
        if np.isfinite(got).all():
            return self._kind.counts_by_class(wanted, got)
        own = self._kind.counts_by_class(wanted, wanted)
        return own and {number: Counts(reference=one.reference) for number, one in own.items()}

    def kept_classes(self, reference: ArrayLike, target: ArrayLike, label: Any = None) -> Kept:
        """The share that int8 keeps of each class that float finds in a window, correctly if there is a ``label``.

        A target that is not finite, or has another shape where the kind has one shape, keeps nothing.
        """
        wanted, got = np.asarray(reference), np.asarray(target)
        if np.isfinite(got).all():
            return self._kind.kept_classes(wanted, got, label)
        return {one: (given, 0.0) for one, (given, _) in self._kind.kept_classes(wanted, wanted, label).items()}

    def argmax_agrees(self, reference: ArrayLike, target: ArrayLike) -> bool | None:
        """Raw only: whether int8 would agree if this were a classifier; None where it cannot be one."""
        wanted, got = row(reference), row(target)
        if self.meaning.kind != "raw" or wanted.ndim != 1 or wanted.size < 2:  # noqa: PLR2004  # two classes
            return None
        return bool(np.isfinite(got).all()) and int(np.argmax(wanted)) == int(np.argmax(got))

    def correct(self, output: ArrayLike, label: Any) -> bool | None:
        """Whether an output is right; None where the kind cannot be checked by labels.

        Raises:
            ContractError: ``shape_mismatch``: the label does not fit the output.
        """
        return self._kind.correct(np.asarray(output), label)
