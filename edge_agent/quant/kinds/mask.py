"""Mask: a mean intersection over union of at least ``tolerance`` (0.95).

Without its batch axis an output is ``[H, W]``, or has one more axis for the classes, first or last, whichever is the
shorter. Integers are class numbers; of several scores a pixel the largest counts; a single score is held against
``[output] threshold`` (0.5 for probabilities, 0 for logits). The mean is over the classes that either mask has, the
background included, so one that appears or vanishes counts as fully missed.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.errors import ContractError
from edge_agent.quant.kinds.kind import Kind, are_fractions, with_defaults
from edge_agent.wire.manifest import Output

_FLAT, _SCORED = 2, 3


class Mask(Kind):
    """A class for each pixel."""

    def __init__(self, output: Output) -> None:
        super().__init__(output)
        self._last: tuple[NDArray[Any], NDArray[Any], float] | None = None
        """The overlap of the window that was compared last, as it is asked for twice."""

    @classmethod
    def resolve(cls, output: Output, sample: Sequence[NDArray[Any]]) -> Output:
        """With the least overlap, and the threshold that float's outputs suggest."""
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
        """Whether both masks cover the same."""
        return self._overlap(reference, target) >= (self.output.tolerance or 0.0)

    def nearness(self, reference: NDArray[Any], target: NDArray[Any]) -> float:
        """The part of the masks that is not shared."""
        return 1.0 - self._overlap(reference, target)

    def _overlap(self, reference: NDArray[Any], target: NDArray[Any]) -> float:
        if self._last is None or self._last[0] is not reference or self._last[1] is not target:
            wanted, got = self.answer(reference), self.answer(target)
            self._last = reference, target, mean_overlap(wanted, got) if wanted.shape == got.shape else 0.0
        return self._last[2]


def mean_overlap(first: NDArray[Any], second: NDArray[Any]) -> float:
    """The mean, over the classes that either mask has, of intersection over union."""
    classes, numbered = np.unique(np.stack([first, second]), return_inverse=True)
    wanted, got = numbered.reshape(2, -1)
    shared = np.bincount(wanted[wanted == got], minlength=len(classes))
    union = np.bincount(wanted, minlength=len(classes)) + np.bincount(got, minlength=len(classes)) - shared
    return float(np.mean(shared / union))


def _pixels(output: NDArray[Any]) -> NDArray[Any]:
    """``[H, W]``, or ``[classes, H, W]`` where there are several scores a pixel."""
    image = output[0] if output.ndim > _FLAT and len(output) == 1 else output
    if image.ndim == _SCORED:
        image = image if image.shape[0] <= image.shape[-1] else np.moveaxis(image, -1, 0)
        image = image[0] if len(image) == 1 else image
    scores_of_integers = image.ndim == _SCORED and image.dtype.kind in "biu"
    if image.ndim not in (_FLAT, _SCORED) or not image.size or scores_of_integers:
        raise ContractError("shape_mismatch", f"an output of shape {output.shape} is no mask; set another output kind")
    return image
