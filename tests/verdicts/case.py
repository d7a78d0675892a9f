"""What a case of the conformance set is: a float model, what is wrong with its int8 side, and the right end."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_agent.wire.manifest import Gates, MinGain, Output

Array = NDArray[Any]
ACCEPTED = ""
"""The code of an accepted model."""
ANY_COST = Gates(max_latency_ratio=0, max_size_ratio=0, min_gain=MinGain(0, 0, 0))
"""The default gates of what outputs say. The int8 side here is float and a few nodes: larger, and no faster."""


@dataclass(frozen=True, slots=True)
class Right:
    """How a case must end.

    Attributes:
        codes: one of these; :data:`ACCEPTED` where it may be accepted.
        said: where it is accepted: an expression that a warning or a finding must match.
    """

    codes: frozenset[str]
    said: str = ""

    @property
    def accepts(self) -> bool:
        """Whether it may be accepted at all."""
        return ACCEPTED in self.codes


def accepted(said: str = "", *, or_refused: Sequence[str] = ()) -> Right:
    """It is accepted, and what is ``said`` is a warning; or it is refused with one of these codes."""
    return Right(frozenset({ACCEPTED, *or_refused}), said)


def refused(*codes: str) -> Right:
    """It is refused with one of these codes."""
    return Right(frozenset(codes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tamper:
    """What the int8 side says in place of ``y``: ``round((y * factor + offset) / step) * step``.

    Attributes:
        factor: one for all values, or an array that broadcasts to a window's output.
        offset: the same.
        step: the same; 0: values are not rounded.
        marked: only in the windows that the case marks; as float does in the others.
    """

    factor: ArrayLike = 1.0
    offset: ArrayLike = 0.0
    step: ArrayLike = 0.0
    marked: bool = False


DEAD = Tamper(factor=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """What float says of some windows, and what is known of them.

    Attributes:
        values: ``[n, ...]``, before the model's last step.
        marked: the windows where a tamper may strike.
        labels: one a window, or None.
        groups: one recording a window, or None.
    """

    values: Array
    marked: Array
    labels: Array | None = None
    groups: Array | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatModel:
    """The float side.

    Attributes:
        last: what follows the product: ``Softmax``, ``Sigmoid`` or nothing.
        gain: what the diagonal of its product holds, one value or one a column.
        always: what it says in every window, whatever it is fed.
        nan_if_marked: its output is NaN in the marked windows.
        second: the second output, which nobody named: ``same`` as the first, or ``constant``; empty: there is none.
        ballast: bytes of weights in its file, which int8's lacks; nothing comes of them.
        scratch: bytes of activations that it needs and int8 does not; nothing comes of them.
    """

    last: str = ""
    gain: ArrayLike = 1.0
    always: ArrayLike | None = None
    nan_if_marked: bool = False
    second: str = ""
    ballast: int = 0
    scratch: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row of the table."""

    name: str
    kind: str
    wrong: str
    """What is wrong, in a few words; the rows of the report."""
    right: Right
    heldout: Windows
    calibration: Windows
    model: FloatModel = FloatModel()
    tamper: Tamper | None = None
    """Of the output that is judged."""
    tamper_second: Tamper | None = None
    output: Output
    gates: Gates = ANY_COST
    evaluation: Windows | None = None
    """The labelled set that comes with the model."""
    took: tuple[float, float] | None = None
    """The bounds of int8's time as a multiple of float's; None: time is no matter here."""


@dataclass(frozen=True, slots=True)
class End:
    """How a case ended."""

    code: str
    message: str
    warnings: Sequence[str] = field(default_factory=tuple)


def marks(count: int, which: ArrayLike) -> Array:
    """A boolean a window: ``which`` are numbers of windows, or how many, spread evenly."""
    places = np.asarray(which, np.int64)
    if places.ndim == 0:
        places = np.linspace(0, count - 1, int(places)).round().astype(np.int64)
    marked = np.zeros(count, bool)
    marked[places] = True
    return marked


def ended_right(right: Right, end: End) -> bool:
    """Whether ``end`` is one of the right ends."""
    if end.code not in right.codes:
        return False
    return end.code != ACCEPTED or not right.said or any(re.search(right.said, one) for one in end.warnings)
