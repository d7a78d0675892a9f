"""Mask: a mean intersection over union of at least ``tolerance`` (0.95).

Without its batch axis an output is ``[H, W]``, or has one more axis for the classes, first or last, whichever is
shorter. Integers are class numbers. Of several scores per pixel the largest counts. A single score is compared with
``[output] threshold`` (0.5 for probabilities, 0 for logits). The mean is over the classes of either mask, including
the background, so a class that appears or vanishes counts as fully missed. A pixel whose int8 score lies exactly at the
threshold, or whose two largest scores are equal, has no class (:mod:`edge_agent.quant.near`).

The kept share of a class is counted in pixels, over all windows that contain it, as the mean IoU of the literature is:
stray pixels at an edge do not lose a window.
"""

import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_agent.errors import ContractError
from edge_agent.quant.class_recall import Kept
from edge_agent.quant.kinds.kind import Kind, are_fractions, with_defaults
from edge_agent.quant.near import ValueRange, at_threshold, tied
from edge_agent.wire.manifest import Output

_FLAT, _SCORED = 2, 3
_NONE = -1
_MOST_COUNTED = 65_535
"""Class numbers up to this one are counted without sorting."""


class _Compared(NamedTuple):
    """One window by float and by int8: the outputs, the class of each pixel, and the mean IoU of both.

    The outputs are weak references: a runtime's own arrays keep all memory of their call alive.
    """

    reference: "weakref.ref[NDArray[Any]]"
    target: "weakref.ref[NDArray[Any]]"
    wanted: NDArray[Any]
    got: NDArray[Any]
    """:data:`_NONE` where int8 is undecided."""
    overlap: float


class Mask(Kind):
    """A class for each pixel."""

    def __init__(self, output: Output) -> None:
        super().__init__(output)
        self._range = ValueRange()
        self._last: _Compared | None = None
        """The last compared window, as three methods need it."""

    def observe(self, output: NDArray[Any]) -> None:
        """Learn the range of float's scores."""
        self._range.add_whole(output)

    @classmethod
    def resolve(cls, output: Output, sample: Sequence[NDArray[Any]]) -> Output:
        """Fill in the least overlap, and the threshold that float's outputs suggest."""
        for one in sample:
            _pixels(one)
        return with_defaults(output, threshold=0.5 if are_fractions(sample) else 0.0, tolerance=0.95)

    def answer(self, output: NDArray[Any]) -> NDArray[Any]:
        """The class of each pixel."""
        pixels = _pixels(output)
        if pixels.ndim == _SCORED:
            return np.asarray(np.argmax(pixels, axis=0))
        return pixels if pixels.dtype.kind in "biu" else np.asarray(pixels >= (self.output.threshold or 0.0))

    def agrees(self, reference: NDArray[Any], target: NDArray[Any]) -> bool:
        """Whether the masks overlap enough."""
        return self._compared(reference, target).overlap >= (self.output.tolerance or 0.0)

    def nearness(self, reference: NDArray[Any], target: NDArray[Any]) -> float:
        """The share of the masks that does not overlap."""
        return 1.0 - self._compared(reference, target).overlap

    def kept_classes(self, reference: NDArray[Any], target: NDArray[Any], label: Any = None) -> Kept:  # noqa: ARG002  # there are none
        """Float's pixels of each class, and how many of them int8 keeps."""
        compared = self._compared(reference, target)
        wanted, got = compared.wanted, compared.got
        same = wanted == got if wanted.shape == got.shape else np.zeros(wanted.shape, bool)
        kept = _pixels_of(wanted[same])
        return {number: (given, kept.get(number, 0.0)) for number, given in _pixels_of(wanted).items()}

    def _compared(self, reference: NDArray[Any], target: NDArray[Any]) -> _Compared:
        last = self._last
        if last is None or last.reference() is not reference or last.target() is not target:
            wanted, got = self.answer(reference), self._decided(reference, target)
            overlap = mean_overlap(wanted, got) if wanted.shape == got.shape else 0.0
            last = self._last = _Compared(weakref.ref(reference), weakref.ref(target), wanted, got, overlap)
        return last

    def _decided(self, reference: NDArray[Any], target: NDArray[Any]) -> NDArray[Any]:
        got, wanted, scores = self.answer(target), _pixels(reference), _pixels(target)
        if wanted.shape != scores.shape or scores.dtype.kind in "biu":
            return got
        if scores.ndim == _SCORED:
            return np.where(tied(wanted, scores, self._range.near), _NONE, got)
        undecided = at_threshold(wanted, scores, self.output.threshold or 0.0, self._range.near)
        return np.where(undecided, _NONE, got)


def _pixels_of(classes: NDArray[Any]) -> dict[int, float]:
    """The number of pixels of each class."""
    if classes.dtype.kind != "b" and (not classes.size or classes.min() < 0 or classes.max() > _MOST_COUNTED):
        numbers, counts = np.unique(classes, return_counts=True)
    else:
        counts = np.bincount(classes.ravel())
        numbers = np.flatnonzero(counts)
        counts = counts[numbers]
    return {int(number): float(count) for number, count in zip(numbers, counts, strict=True)}


def mean_overlap(first: NDArray[Any], second: NDArray[Any]) -> float:
    """The mean, over the classes that either mask has, of intersection over union."""
    classes, numbered = np.unique(np.stack([first, second]), return_inverse=True)
    wanted, got = numbered.reshape(2, -1)
    shared = np.bincount(wanted[wanted == got], minlength=len(classes))
    union = np.bincount(wanted, minlength=len(classes)) + np.bincount(got, minlength=len(classes)) - shared
    return float(np.mean(shared / union))


def _pixels(output: NDArray[Any]) -> NDArray[Any]:
    """The output as ``[H, W]``, or as ``[classes, H, W]`` with several scores per pixel."""
    image = output[0] if output.ndim > _FLAT and len(output) == 1 else output
    if image.ndim == _SCORED:
        image = image if image.shape[0] <= image.shape[-1] else np.moveaxis(image, -1, 0)
        image = image[0] if len(image) == 1 else image
    scores_of_integers = image.ndim == _SCORED and image.dtype.kind in "biu"
    if image.ndim not in (_FLAT, _SCORED) or not image.size or scores_of_integers:
        raise ContractError("shape_mismatch", f"an output of shape {output.shape} is no mask; set another output kind")
    return image
