"""How many labelled rows the gate of accuracy takes at least: known before anything is sent or captured. Pure."""

import math
from statistics import NormalDist

from edge_agent.wire.manifest import Gates, OutputKind

MAX_ACCURACY_DROP = 0.03
"""The gate's default."""
BY_LABEL = ("classes", "binary")
"""The kinds whose labels take the place of agreement: they have that default, and others none."""


def pairs_needed(limit: float, confidence: float = 0.95) -> int:
    """The fewest pairs that prove a drop of at most ``limit`` (> 0) when float and int8 are never of two minds.

    With no discordant pair Tango's bound (:func:`edge_agent.quant.bounds.tango_upper`) is z² / (n + z²).
    """
    z = NormalDist().inv_cdf(confidence)
    return math.ceil(z * z * (1.0 - limit) / limit - 1e-9)


def labelled_rows_needed(gates: Gates, kind: OutputKind | None) -> int:
    """The fewest rows of a labelled set that may prove the gate; 0: there is none, as far as ``kind`` is known."""
    drop = gates.max_accuracy_drop
    if drop is None:
        drop = MAX_ACCURACY_DROP if kind in BY_LABEL else 0.0
    return pairs_needed(drop) if drop else 0
