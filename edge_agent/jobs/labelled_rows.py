"""Number of labelled rows that the accuracy gate needs, known before anything is sent or captured. Pure."""

import math
from dataclasses import dataclass
from statistics import NormalDist

from edge_agent.wire.manifest import Gates, OutputKind

MAX_ACCURACY_DROP = 0.03
"""The gate's default."""
LUCK = "fewer prove it only if int8 has rows right that float has wrong"
"""The remark for a number of rows between ``fewest`` and ``enough``."""
BY_LABEL = ("classes", "binary")
"""The kinds whose labels replace agreement. Only these have that default."""


def pairs_needed(limit: float, confidence: float = 0.95, *, won: int = 0) -> int:
    """The fewest pairs that prove a drop of at most ``limit`` (> 0) if int8 has every pair right that float has.

    Then Tango's bound (:func:`edge_agent.quant.bounds.tango_upper`) is (z² - won) / (n + z²).

    Args:
        limit: the drop.
        confidence: of the bound.
        won: pairs that int8 has right and float has wrong.
    """
    z = NormalDist().inv_cdf(confidence)
    return math.ceil((z * z - won) / limit - z * z - 1e-9)


@dataclass(frozen=True, slots=True)
class LabelledRows:
    """Number of rows that an accuracy gate needs.

    Attributes:
        fewest: they can prove it if int8 wins one row; fewer never can.
        enough: they prove it if int8 loses no row.
    """

    fewest: int
    enough: int


def rows_for(drop: float) -> LabelledRows:
    """The rows that prove a drop of at most ``drop`` (> 0)."""
    return LabelledRows(max(1, pairs_needed(drop, won=1)), max(1, pairs_needed(drop)))


def labelled_rows_needed(gates: Gates, kind: OutputKind | None) -> LabelledRows | None:
    """The rows that a labelled set needs for the gate; None: no such gate applies to ``kind``."""
    drop = gates.max_accuracy_drop
    if drop is None:
        drop = MAX_ACCURACY_DROP if kind in BY_LABEL else 0.0
    return rows_for(drop) if drop else None
