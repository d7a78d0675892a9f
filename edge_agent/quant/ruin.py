"""Whether int8 ruins an output that nobody named: point estimates against what an output of its kind has to pass.

The gates prove what they are about, the output that the manifest names or the first. The others are measured all the
same: an application may read them, and an output at -8 dB is no output. What is asked of them is less than a proof, so
that an output that nobody reads refuses nothing but ruin. Pure.
"""

from collections.abc import Iterable
from dataclasses import replace

from edge_agent.jobs.result import OutputSummary
from edge_agent.quant.findings import percent
from edge_agent.quant.gates import MIN_AGREEMENT, MIN_SQNR_DB, Judgement
from edge_agent.wire.manifest import OutputKind

_DECISIONS: tuple[OutputKind, ...] = ("classes", "binary", "anomaly", "detection", "detection_head", "mask", "sequence")
_AFTER = ("", "latency_too_high", "size_too_large")
"""The codes that say less of a model than a ruined output does."""


def ruin(kind: OutputKind, windows: int, disagreements: int, sqnr_db: float | None, channels: str = "") -> str:
    """Why an output is ruined, as the end of a sentence about it; empty: it is not.

    Args:
        kind: of the output.
        windows: that were compared.
        disagreements: windows in which int8 says something else than float.
        sqnr_db: of the worst group of channels.
        channels: that group's; empty: all.
    """
    if not windows:
        return ""
    if kind in _DECISIONS:
        share = 1.0 - disagreements / windows
        if share >= MIN_AGREEMENT:
            return ""
        wrong = f"{disagreements} of {windows} windows"
        return f"says something else than float in {wrong}; {percent(MIN_AGREEMENT)} must agree"
    if sqnr_db is None or sqnr_db >= MIN_SQNR_DB:
        return ""
    where = f" in channels {channels}" if channels else ""
    return f"is at {sqnr_db:.1f} dB against its error{where}; {MIN_SQNR_DB:g} dB are needed"


def with_outputs(judgement: Judgement, outputs: Iterable[OutputSummary]) -> Judgement:
    """``judgement``, or a refusal (``output_ruined``) if it says nothing worse and one of ``outputs`` is ruined."""
    ruined = next((one for one in outputs if one.ruined), None)
    if ruined is None or judgement.code not in _AFTER:
        return judgement
    message = f"output {ruined.name!r} of int8 {ruined.message}"
    return replace(judgement, code="output_ruined", message=message)
