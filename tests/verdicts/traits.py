"""What each kind of output needs to be judged, and what sabotage of known size does to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike
from verdicts.case import Array, Right, Tamper, accepted, refused
from verdicts.signals import CLASSES, SCALE, SYMBOLS

from edge_agent.wire.manifest import Output

NOT_KEPT = ("agreement_too_low", "class_lost", "output_ruined", "sqnr_too_low")
"""Which of these gates speaks first is no part of the right end."""
BEYOND = accepted(r"beyond|calibration (has|had)|never seen", or_refused=NOT_KEPT)
"""A regime that calibration has not seen: the windows are few enough for the agreement, but it has to be said."""
LOST = refused("class_lost")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trait:
    """One kind.

    Attributes:
        output: the manifest's ``[output]``.
        last: the float model's last step.
        good: int8 as it should be: a grid so fine that nothing changes.
        other: what makes int8 disagree in a marked window.
        lost: what loses the rare class or regime, which are the marked windows.
        lost_right: how that must end where fifteen of six hundred windows are lost.
        small: what loses the small group of a scaled output; None: it has no channels.
        good_scaled: as ``good``, each group on its own grid.
        scaled_last: the last step of a scaled output.
        scaled_gain: the product's diagonal there.
    """

    output: Output
    last: str = ""
    good: Tamper
    other: Tamper
    lost: Tamper
    lost_right: Right = LOST
    small: Tamper | None
    good_scaled: Tamper
    scaled_last: str = ""
    scaled_gain: ArrayLike = 1.0


def _groups(size: int, large: int, of_large: float, of_small: float) -> Array:
    """One value for the first ``large`` of ``size`` columns, another for the rest."""
    return np.where(np.arange(size) < large, of_large, of_small)


def _numbers(kind: str, size: int) -> Trait:
    """A kind of numbers whose second half is the small group."""
    half = size // 2
    return Trait(
        output=Output(kind=kind),  # type: ignore[arg-type]  # a word of the table below
        good=Tamper(step=0.03),
        other=Tamper(factor=-1.0, marked=True),
        lost=Tamper(factor=_groups(size, size * 3 // 4, 1.0, 0.0), marked=True),
        lost_right=BEYOND,
        small=Tamper(factor=_groups(size, half, 1.0, 0.0)),
        good_scaled=Tamper(step=_groups(size, half, 0.03 * SCALE, 0.03)),
    )


_ROWS = np.array([1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0])[:, None]
_COLUMNS = np.array([1.25] * 4 + [1 / 256, 1 / 128])
TRAITS: Mapping[str, Trait] = MappingProxyType(
    {
        "classes": Trait(
            output=Output(kind="classes"),
            last="Softmax",
            good=Tamper(step=1 / 256),
            other=Tamper(factor=-1.0, marked=True),
            lost=Tamper(factor=_groups(CLASSES, CLASSES - 1, 1.0, 0.0)),
            small=Tamper(factor=_groups(CLASSES, 2, 1.0, 0.0)),
            good_scaled=Tamper(step=_groups(CLASSES, 2, 1.0, 0.01)),
        ),
        "binary": Trait(
            output=Output(kind="binary"),
            last="Sigmoid",
            good=Tamper(step=1 / 256),
            other=Tamper(factor=-1.0, offset=1.0, marked=True),
            lost=Tamper(factor=0.4),
            small=Tamper(factor=_groups(4, 2, 1.0, 0.0)),
            good_scaled=Tamper(step=_groups(4, 2, 1.0, 0.01)),
        ),
        "regression": _numbers("regression", 4),
        "embedding": _numbers("embedding", 16),
        "raw": _numbers("raw", 16),
        "anomaly": Trait(
            output=Output(kind="anomaly", threshold=2.0),
            good=Tamper(step=0.02),
            other=Tamper(factor=-1.0, offset=4.0, marked=True),
            lost=Tamper(factor=0.5),
            small=Tamper(factor=np.array([1.0, 1.0 / 0.5])),
            good_scaled=Tamper(step=np.array([0.03, 0.01])),
            scaled_gain=np.array([1.0, 0.5]),
        ),
        "detection": Trait(
            output=Output(kind="detection"),
            good=Tamper(step=_COLUMNS),
            other=Tamper(factor=np.array([1.0, 1.0, 1.0, 1.0, 0.0, 1.0]), marked=True),
            lost=Tamper(factor=np.array([1.0, 1.0, 1.0, 1.0, 0.0, 1.0]), marked=True),
            small=Tamper(step=2.5),
            good_scaled=Tamper(step=_COLUMNS),
        ),
        "mask": Trait(
            output=Output(kind="mask"),
            good=Tamper(step=0.01),
            other=Tamper(factor=-1.0, marked=True),
            lost=Tamper(offset=np.array([0.0, 0.0, -100.0])[:, None, None]),
            small=Tamper(factor=np.array([1.0, 1.0, 0.0])[:, None, None]),
            good_scaled=Tamper(step=np.array([0.001, 1.0, 0.01])[:, None, None]),
        ),
        "sequence": Trait(
            output=Output(kind="sequence"),
            good=Tamper(step=0.05),
            other=Tamper(factor=-1.0, marked=True),
            lost=Tamper(offset=_groups(SYMBOLS, SYMBOLS - 1, 0.0, -100.0)),
            small=Tamper(factor=_groups(SYMBOLS, SYMBOLS - 1, 1.0, 0.0)),
            good_scaled=Tamper(step=0.05),
        ),
        "detection_head": Trait(
            output=Output(kind="detection_head"),
            good=Tamper(step=np.where(_ROWS > 0, 1.25, 1 / 256)),
            other=Tamper(factor=_ROWS, marked=True),
            lost=Tamper(factor=np.array([1.0] * 6 + [0.0])[:, None]),
            small=Tamper(step=2.5),
            good_scaled=Tamper(step=np.where(_ROWS > 0, 1.25, 1 / 256)),
        ),
    }
)
