"""How many labelled rows the gate of accuracy takes at least: known before anything is sent or captured. Pure."""

import math
from dataclasses import dataclass
from statistics import NormalDist

from edge_agent.wire.manifest import Gates, OutputKind

MAX_ACCURACY_DROP = 0.03
"""The gate's default."""
LUCK = "fewer prove it only if int8 has rows right that float has wrong"
"""What is said of rows between the fewest and enough."""
BY_LABEL = ("classes", "binary")
"""The kinds whose labels take the place of agreement: they have that default, and others none."""


def pairs_needed(limit: float, confidence: float = 0.95, *, won: int = 0) -> int:
    """The fewest pairs that prove a drop of at most ``limit`` (> 0) when int8 loses none that float has right.

    Then Tango's bound (:func:`edge_agent.quant.bounds.tango_upper`) is (z² - won) / (n + z²).

    Args:
        limit: the drop.
        confidence: of the bound.
        won: pairs that int8 has right and float has not.
    """
    z = NormalDist().inv_cdf(confidence)
    return math.ceil((z * z - won) / limit - z * z - 1e-9)


@dataclass(frozen=True, slots=True)
class LabelledRows:
    """How many rows a gate of accuracy takes.

    Attributes:
        fewest: with one row that int8 wins they may prove it: of fewer nothing can be hoped.
        enough: they prove it where int8 never errs.
    """

    fewest: int
    enough: int


def rows_for(drop: float) -> LabelledRows:
    """The rows that a drop of at most ``drop`` (> 0) takes."""
    return LabelledRows(max(1, pairs_needed(drop, won=1)), max(1, pairs_needed(drop)))


def labelled_rows_needed(gates: Gates, kind: OutputKind | None) -> LabelledRows | None:
    """What a labelled set needs for the gate; None: there is none, as far as ``kind`` is known."""
    drop = gates.max_accuracy_drop
    if drop is None:
        drop = MAX_ACCURACY_DROP if kind in BY_LABEL else 0.0
    return rows_for(drop) if drop else None
