"""The interface of every kind of output, with the default behaviour that most kinds share."""

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_agent.errors import ContractError
from edge_agent.quant.class_recall import Kept
from edge_agent.quant.detection.match import Counts
from edge_agent.quant.scale_groups import NOTHING, STILL, ChannelScales, ScaleGroup
from edge_agent.wire.manifest import Output


class Kind:
    """The judging of one kind of output. Outputs may have a batch axis of one; targets are finite."""

    ANY_SHAPE: ClassVar[bool] = False
    """Whether outputs of different shapes can be compared, as where the number of boxes varies."""

    def __init__(self, output: Output) -> None:
        """Take the options of :meth:`resolve`'s result."""
        self.output = output

    @classmethod
    def resolve(cls, output: Output, sample: Sequence[NDArray[Any]]) -> Output:  # noqa: ARG003  # for those that look
        """``output`` with every default filled in.

        Args:
            output: the manifest's ``[output]``.
            sample: float's outputs for some windows; may be empty.

        Raises:
            ContractError: ``shape_mismatch``: the outputs do not fit the kind.
        """
        return output

    def observe(self, output: NDArray[Any]) -> None:
        """Observe one of float's outputs before anything is judged."""

    @property
    def groups(self) -> Sequence[ScaleGroup]:
        """Channels that are judged separately, as their scales differ; empty if the output is judged as a whole."""
        return ()

    def answer(self, output: NDArray[Any]) -> NDArray[Any]:
        """The answer that the output gives. If float's answer never changes, agreement proves nothing."""
        return row(output)

    def same_answer(self, first: NDArray[Any], second: NDArray[Any]) -> bool:
        """Whether two of float's answers are equal."""
        return np.array_equal(first, second)

    def agrees(self, reference: NDArray[Any], target: NDArray[Any]) -> bool:
        """Whether ``target`` gives the same answer as ``reference``."""
        return np.shape(row(reference)) == np.shape(row(target)) and np.array_equal(
            self.answer(reference), self.answer(target)
        )

    def nearness(self, reference: NDArray[Any], target: NDArray[Any]) -> float:
        """How near the window came to a disagreement; only the order of windows has a meaning.

        By default it is the distance of the outputs (:func:`relative_rms`). A kind that decides at a limit returns
        int8's distance to that limit. Shapes are equal unless :attr:`ANY_SHAPE` is set.
        """
        return relative_rms(reference, target)

    def counts_by_class(self, reference: NDArray[Any], target: NDArray[Any]) -> dict[int, Counts] | None:  # noqa: ARG002  # for detectors
        """For a detector, per class, how many of float's boxes int8 finds and vice versa; None for other kinds."""
        return None

    def kept_classes(self, reference: NDArray[Any], target: NDArray[Any], label: Any = None) -> Kept:  # noqa: ARG002  # for those that have classes
        """The share that int8 keeps of each class that float finds in this window; empty for kinds without classes.

        Args:
            reference: float's output.
            target: int8's output, which is finite.
            label: the window's label, if it can check this kind: classes that float gets wrong are not counted.
        """
        return {}

    def correct(self, output: NDArray[Any], label: Any) -> bool | None:  # noqa: ARG002  # for those that have labels
        """Whether the output is right; None if labels cannot check this kind.

        Raises:
            ContractError: ``shape_mismatch``: the label does not fit the output.
        """
        return None


class ScaledKind(Kind):
    """A kind whose numbers have scales: channels of very different scales are judged separately."""

    def __init__(self, output: Output) -> None:
        super().__init__(output)
        self._scales = ChannelScales()

    def observe(self, output: NDArray[Any]) -> None:
        """Learn the scales of the channels."""
        self._scales.add(row(output))

    @property
    def groups(self) -> Sequence[ScaleGroup]:
        """The groups of similar scale, if there are several."""
        return self._scales.groups

    def same_answer(self, first: NDArray[Any], second: NDArray[Any]) -> bool:
        """Whether the answers are equal except for rounding."""
        if first.shape != second.shape:
            return False
        sizes = np.maximum(np.abs(first), np.abs(second))
        slack = np.maximum(STILL * sizes, NOTHING * sizes.max(initial=0.0))
        return bool((np.abs(first - second) <= slack).all())


def row(values: ArrayLike) -> NDArray[np.float64]:
    """One window's output without axes of one; a single element keeps one axis."""
    return np.atleast_1d(np.squeeze(np.asarray(values, np.float64)))


def relative_rms(reference: ArrayLike, target: ArrayLike, *, usual_rms: float = 0.0) -> float:
    """RMS of the difference as a share of the RMS of ``reference``, or of the usual RMS where that is larger.

    Infinite where both are zero and ``target`` is not.
    """
    wanted, got = np.asarray(reference, np.float64), np.asarray(target, np.float64)
    error, signal = float(np.linalg.norm(got - wanted)), float(np.linalg.norm(wanted))
    if not error:
        return 0.0
    signal = max(signal, usual_rms * wanted.size**0.5)
    return error / signal if signal else float("inf")


def are_fractions(rows: Sequence[NDArray[Any]]) -> bool:
    """Whether all values are in [0, 1], as probabilities are and logits are not."""
    return all(bool(np.all((values >= 0.0) & (values <= 1.0))) for values in rows)


def with_defaults(output: Output, *, threshold: float | None = None, tolerance: float | None = None) -> Output:
    """``output`` with these values for its unset options."""
    return msgspec.structs.replace(
        output,
        threshold=threshold if output.threshold is None else output.threshold,
        tolerance=tolerance if output.tolerance is None else output.tolerance,
    )


def numbers(kind: str, label: Any, count: int, wanted: str, known: Sequence[int] | None) -> NDArray[np.float64]:
    """A label as ``count`` numbers, each one of ``known`` unless that is None."""
    if np.asarray(label).dtype.kind not in "biuf":
        raise ContractError("shape_mismatch", f"label {label!r} is no number; give {wanted} a row")
    truth = row(label)
    if truth.shape != (count,) or (known is not None and not np.isin(truth, known).all()):
        given = f"of shape {truth.shape}" if truth.shape != (count,) else f"{truth.ravel().tolist()}"
        raise ContractError("shape_mismatch", f"a label {given} fits no output of kind {kind}; give {wanted} a row")
    return truth
