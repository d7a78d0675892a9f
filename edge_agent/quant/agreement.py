"""What an output means, and whether int8 still says what float says about a window.

    classes     same largest element
    binary      every element on the same side of the threshold
    regression  every element within ``tolerance`` (5 %) of the spread of float's outputs, 1st to 99th percentile
    embedding   cosine of at least ``tolerance`` (0.99)
    raw         RMS of the difference at most ``tolerance`` (0.1) of the RMS of float's output

The caller runs float over the set once and shows every output to :meth:`Judge.observe`; then the judge answers window
by window. Outputs come with or without their batch axis of one. A target that is not finite never agrees.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_agent.errors import ContractError, RecipeError, Refusal
from edge_agent.wire.manifest import Output, OutputKind

TOLERANCE: dict[str, float] = {"regression": 0.05, "embedding": 0.99, "raw": 0.1}
_KINDS: tuple[OutputKind, ...] = ("classes", "binary", "regression", "embedding", "raw")
_SUM_SLACK = 1e-3  # float16 softmax rows add up to 1 within this
_SPREAD_PERCENTILES = (1.0, 99.0)
_SPREAD_VALUES = 4_000_000  # float32 values kept for the spread: 16 MB
_SPREAD_ROWS = 32  # but never fewer rows than this: percentiles of a handful say nothing


@dataclass(frozen=True, slots=True)
class Meaning:
    """What the judged output is, with every default filled in."""

    kind: OutputKind
    threshold: float
    """binary only."""
    tolerance: float
    """regression, embedding, raw; 0 elsewhere."""
    found: str
    """How the kind was found, for the report."""


def resolve_kind(output: Output, sample: Sequence[ArrayLike], labels: Sequence[Any] | None) -> Meaning:
    """What the output means: as the manifest says, else as float's own outputs and the labels show.

    Args:
        output: the manifest's ``[output]``.
        sample: float's outputs for some windows, the more the surer.
        labels: labels of some windows, or None.

    Raises:
        RecipeError: ``recipe_unsupported``: a kind that this agent does not judge.
        ContractError: ``shape_mismatch``: the output is not what its kind says.
    """
    rows = [_row(values) for values in sample]
    kind, found = (output.kind, "set in [output]") if output.kind else _find_kind(rows, labels)
    if kind not in _KINDS:
        raise RecipeError("recipe_unsupported", f"output kind {kind!r} is not judged here; use {', '.join(_KINDS)}")
    if kind == "classes" and any(row.ndim != 1 or row.size < 2 for row in rows):  # noqa: PLR2004  # two classes
        shape = np.shape(sample[0])
        raise ContractError("shape_mismatch", f"an output of shape {shape} holds no classes; set another output kind")
    threshold = output.threshold
    if threshold is None:
        threshold = 0.5 if all(_is_fraction(row) for row in rows) else 0.0
    tolerance = TOLERANCE.get(kind, 0.0) if output.tolerance is None else output.tolerance
    return Meaning(kind, threshold if kind == "binary" else 0.0, tolerance if kind in TOLERANCE else 0.0, found)


def _find_kind(rows: list[NDArray[Any]], labels: Sequence[Any] | None) -> tuple[OutputKind, str]:
    label_kind = np.asarray(labels).dtype.kind if labels is not None and len(labels) else ""
    if label_kind in ("U", "S"):
        return "sequence", "labels are strings"
    if label_kind == "f":
        return "regression", "labels are floats"
    if all(row.size == 1 for row in rows):
        if label_kind in ("i", "u", "b") and set(np.asarray(labels).ravel().tolist()) <= {0, 1}:
            return "binary", "one element, and labels are 0 or 1"
        if all(_is_fraction(row) for row in rows):
            return "binary", "one element in [0, 1]"
        return "regression", "one element outside [0, 1]"
    if all(row.ndim == 1 for row in rows):
        if label_kind in ("i", "u", "b"):
            return "classes", "labels are integers"
        if all(_is_fraction(row) and abs(float(row.sum()) - 1.0) <= _SUM_SLACK for row in rows):
            return "classes", "rows are probabilities"
    return "raw", "neither probabilities nor labels"


def _row(values: ArrayLike) -> NDArray[np.float64]:
    """One window's output without axes of one; a single element keeps one axis."""
    return np.atleast_1d(np.squeeze(np.asarray(values, np.float64)))


def _is_fraction(row: NDArray[Any]) -> bool:
    return bool(np.all((row >= 0.0) & (row <= 1.0)))


class Judge:
    """Decides for one output, window by window, whether target agrees with reference.

    Show it every float output first; one judge serves all candidates.
    """

    def __init__(self, meaning: Meaning, seed: int = 0) -> None:
        self.meaning = meaning
        self._random = np.random.default_rng(seed)
        self._seen = 0
        self._kept: list[NDArray[np.float32]] = []
        self._spread: NDArray[np.float64] | None = None
        self._first: NDArray[np.float64] | None = None
        self._varies = False

    def observe(self, reference: ArrayLike) -> None:
        """Take one of float's outputs into account: for coverage, and for the spread of a regression.

        Raises:
            ContractError: ``shape_mismatch``: a regression whose number of values is not always the same, or none.
        """
        row = _row(reference)
        self._seen += 1
        answer = self._answer(row)
        if self._first is None:
            self._first = answer
        elif not np.array_equal(self._first, answer):
            self._varies = True
        if self.meaning.kind == "regression":
            self._spread = None
            self._keep(row.astype(np.float32))

    def check_coverage(self) -> None:
        """Raise ``Refusal`` (``no_coverage``) if float gave the same answer on every window: agreement is no proof."""
        if not self._varies:
            what = "the same class" if self.meaning.kind in ("classes", "binary") else "the same output"
            raise Refusal(
                "no_coverage",
                f"float gives {what} on all {self._seen} windows, so agreement would prove nothing; "
                "capture while the sensor sees what the model tells apart",
            )

    def agrees(self, reference: ArrayLike, target: ArrayLike) -> bool:
        """Whether int8 still says what float says."""
        wanted, got = _row(reference), _row(target)
        if wanted.shape != got.shape or not np.isfinite(got).all():
            return False
        match self.meaning.kind:
            case "regression":
                return self._within_spread(got - wanted)
            case "embedding":
                return _cosine(wanted, got) >= self.meaning.tolerance
            case "raw":
                return relative_rms(wanted, got) <= self.meaning.tolerance
        return np.array_equal(self._answer(wanted), self._answer(got))

    def argmax_agrees(self, reference: ArrayLike, target: ArrayLike) -> bool | None:
        """Raw only: whether it would agree as a classifier; None where it cannot be one."""
        wanted, got = _row(reference), _row(target)
        if self.meaning.kind != "raw" or wanted.ndim != 1 or wanted.size < 2:  # noqa: PLR2004  # two classes
            return None
        return bool(np.isfinite(got).all()) and int(np.argmax(wanted)) == int(np.argmax(got))

    def correct(self, output: ArrayLike, label: ArrayLike) -> bool | None:
        """Whether an output is right; None where labels say nothing about the kind.

        Raises:
            ContractError: ``shape_mismatch``: the label does not fit the output.
        """
        kind, row = self.meaning.kind, _row(output)
        if kind not in ("classes", "binary", "regression"):
            return None
        if np.asarray(label).dtype.kind not in "biuf":
            raise ContractError(
                "shape_mismatch", f"label {label!r} is no number; a {kind} output needs numbers as labels"
            )
        answer, truth = self._answer(row), _row(label)
        known = {"classes": range(row.size), "binary": (-1, 0, 1)}.get(kind)
        if answer.shape != truth.shape or (known is not None and not np.isin(truth, known).all()):
            wanted = {
                "classes": f"one class number from 0 to {row.size - 1}",
                "binary": f"{answer.size} times 0 or 1 (or -1 and 1)",
                "regression": f"{answer.size} numbers, or integers if they are class numbers,",
            }[kind]
            given = f"of shape {truth.shape}" if answer.shape != truth.shape else f"{truth.ravel().tolist()}"
            raise ContractError("shape_mismatch", f"a label {given} does not fit a {kind} output; give {wanted} a row")
        if not np.isfinite(row).all():
            return False
        if kind == "regression":
            return self._within_spread(row - truth)
        return np.array_equal(answer, truth > 0.0 if kind == "binary" else truth)

    def _answer(self, row: NDArray[np.float64]) -> NDArray[Any]:
        """What a row says: a class, sides of the threshold, or the values themselves."""
        match self.meaning.kind:
            case "classes":
                return np.atleast_1d(np.argmax(row))
            case "binary":
                return row >= self.meaning.threshold
        return row

    def _within_spread(self, difference: NDArray[np.float64]) -> bool:
        if self._spread is None:
            self._spread = _spread(self._kept)
        return bool(np.all(np.abs(difference) <= self.meaning.tolerance * self._spread))

    def _keep(self, row: NDArray[np.float32]) -> None:
        """Keep every row while they are few, else a uniform sample (reservoir, Vitter 1985, algorithm R)."""
        if not row.size or (self._kept and row.shape != self._kept[0].shape):
            raise ContractError(
                "shape_mismatch",
                f"an output of shape {row.shape} is no regression of fixed size; set another output kind",
            )
        room = max(_SPREAD_ROWS, _SPREAD_VALUES // row.size)
        if len(self._kept) < room:
            self._kept.append(row)
        elif (place := int(self._random.integers(self._seen))) < room:
            self._kept[place] = row


def relative_rms(reference: ArrayLike, target: ArrayLike) -> float:
    """RMS of the difference as a share of the RMS of ``reference``; infinite where only the reference is zero."""
    wanted, got = np.asarray(reference, np.float64), np.asarray(target, np.float64)
    error, signal = float(np.linalg.norm(got - wanted)), float(np.linalg.norm(wanted))
    if not error:
        return 0.0
    return error / signal if signal else float("inf")


def _cosine(wanted: NDArray[np.float64], got: NDArray[np.float64]) -> float:
    lengths = float(np.linalg.norm(wanted)) * float(np.linalg.norm(got))
    if not lengths:
        return 1.0 if np.array_equal(wanted, got) else 0.0
    return float(np.dot(wanted.ravel(), got.ravel())) / lengths


def _spread(rows: list[NDArray[np.float32]]) -> NDArray[np.float64]:
    """Float's 1st to 99th percentile in each element; an element that never varies takes the whole output's."""
    values = np.stack(rows)
    low, high = np.percentile(values, _SPREAD_PERCENTILES, axis=0)
    spread = np.asarray(high - low, np.float64)
    still = spread == 0.0
    if still.any():
        low, high = np.percentile(values, _SPREAD_PERCENTILES)
        spread[still] = high - low
    return spread
