"""The gates' limits; all their defaults are decided here. Pure."""

from dataclasses import dataclass

from edge_agent.jobs.labelled_rows import BY_LABEL, MAX_ACCURACY_DROP
from edge_agent.wire.manifest import AS_FLOAT, Gates, MinGain, OutputKind

MIN_AGREEMENT = 0.95
MIN_SQNR_DB = 10.0
LATENCY_MARGIN = 0.02
"""Without an explicit limit, int8 may be slower by this share and still counts as not slower."""
_CONTINUOUS = ("regression", "embedding", "raw")


@dataclass(frozen=True, slots=True, kw_only=True)
class GateLimits:
    """The manifest's gates with every default filled in; 0 = no gate."""

    min_agreement: float
    warn_agreement: float
    """Agreement below which there is a warning but no rejection, where labels decide."""
    max_accuracy_drop: float
    min_sqnr_db: float
    max_latency_ratio: float
    """Includes the margin."""
    latency_margin: float
    max_size_ratio: float
    min_gain: MinGain


def resolve_gates(gates: Gates, kind: OutputKind, *, labelled: bool, doubtful: bool = False) -> GateLimits:
    """The limits of one output's gates.

    Args:
        gates: the manifest's gates.
        kind: kind of the judged output.
        labelled: whether the judged windows have labels.
        doubtful: whether float itself does not fit the labels, so that they cannot replace agreement.
    """
    by_label = labelled and not doubtful and kind in BY_LABEL
    drop = gates.max_accuracy_drop
    if drop is None:
        drop = MAX_ACCURACY_DROP if by_label else 0.0
    agreement = gates.min_agreement
    if agreement is None:
        agreement = 0.0 if by_label and drop else MIN_AGREEMENT
    sqnr = gates.min_sqnr_db
    if sqnr is None:
        sqnr = MIN_SQNR_DB if kind in _CONTINUOUS else 0.0
    return GateLimits(
        min_agreement=agreement,
        warn_agreement=MIN_AGREEMENT if gates.min_agreement is None and not agreement else 0.0,
        max_accuracy_drop=drop if labelled else 0.0,
        min_sqnr_db=sqnr,
        max_latency_ratio=latency_limit(gates),
        latency_margin=latency_margin(gates),
        max_size_ratio=gates.max_size_ratio,
        min_gain=gates.min_gain,
    )


def latency_limit(gates: Gates) -> float:
    """The largest accepted ratio of latencies, including the margin; 0: no gate."""
    ratio = 1.0 if gates.max_latency_ratio == AS_FLOAT else gates.max_latency_ratio
    return ratio * (1.0 + latency_margin(gates))


def latency_margin(gates: Gates) -> float:
    """The share by which ``max_latency_ratio`` may be exceeded; an explicit limit is exact.

    A written 1.0 is :data:`edge_agent.wire.manifest.AS_FLOAT`.
    """
    if gates.latency_margin is not None:
        return gates.latency_margin
    return LATENCY_MARGIN if gates.max_latency_ratio == Gates().max_latency_ratio else 0.0
