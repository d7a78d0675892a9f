"""Outputs beside the first: one that the manifest names is judged by its kind; any other must not be ruined.

The gates prove the outputs that the manifest names, or the first one. The others are measured, too: an application may
read them, and an output at -8 dB is useless. They need less than a proof, so that an output that nobody reads causes a
rejection only if it is ruined. Pure.
"""

import math
from collections.abc import Iterable

from msgspec import structs

from edge_agent.jobs.measured_outputs import OutputSummary
from edge_agent.quant.findings import Measured, percent
from edge_agent.quant.gates import evaluate_heldout, evaluate_search
from edge_agent.quant.judgement import Judgement
from edge_agent.quant.limits import MIN_AGREEMENT, MIN_SQNR_DB
from edge_agent.wire.manifest import Gates, OutputKind

_DECISIONS: tuple[OutputKind, ...] = ("classes", "binary", "anomaly", "detection", "detection_head", "mask", "sequence")


def ruin(kind: OutputKind, windows: int, disagreements: int, sqnr_db: float | None, channels: str = "") -> str:
    """Why an output is ruined; empty if it is not.

    Args:
        kind: kind of the output.
        windows: number of compared windows.
        disagreements: windows in which int8 and float disagree.
        sqnr_db: SQNR of the worst group of channels.
        channels: the channels of that group; empty: all.
    """
    if not windows:
        return ""
    if kind in _DECISIONS:
        share = 1.0 - disagreements / windows
        if share >= MIN_AGREEMENT:
            return ""
        return f"int8 disagrees with float in {disagreements} of {windows} windows; {percent(MIN_AGREEMENT)} must agree"
    if sqnr_db is None or sqnr_db >= MIN_SQNR_DB:
        return ""
    where = f" of channels {channels}" if channels else ""
    if sqnr_db == -math.inf:
        return f"the error{where} has no bound, as where int8 gives NaN or Inf"
    return f"the SQNR{where} is {sqnr_db:.1f} dB; {MIN_SQNR_DB:g} dB are needed"


def judge_named(gates: Gates, kind: OutputKind, measured: Measured, *, search: bool) -> Judgement:
    """The verdict on an output that the manifest names beside the first: by its own kind, with the same gates.

    Speed and size do not belong to a single output, and labels belong to the first. Where labels replace the agreement
    of the first output, the others must meet the default.

    Args:
        gates: the manifest's gates.
        kind: kind of the output.
        measured: measurements of this output.
        search: whether these are search windows, which need no proof.
    """
    quality = structs.replace(
        gates,
        min_agreement=gates.min_agreement or None,
        max_latency_ratio=0.0,
        max_size_ratio=0.0,
        max_accuracy_drop=0.0,
    )
    return (evaluate_search if search else evaluate_heldout)(quality, kind, measured)


def with_outputs(judgement: Judgement, outputs: Iterable[OutputSummary]) -> Judgement:
    """``judgement``, or the rejection of one of ``outputs`` if ``judgement`` has no worse reason."""
    refusing = next((one for one in outputs if one.code), None)
    return judgement if refusing is None else judgement.refused(refusing.code, refusing.message)


def not_judged(outputs: Iterable[OutputSummary], undefined: Iterable[str]) -> list[str]:
    """The notes about channels and whole outputs that cannot be judged, for outputs that are judged as numbers.

    ``undefined``: outputs without usable values in float.
    """
    whole = [
        f"output {name!r} is not judged: float itself gives NaN, Inf, nothing, no numbers or a changing shape there"
        for name in undefined
    ]
    return whole + [
        f"output {one.name!r}: channels {group.channels} are not judged: {group.why_not}"
        for one in outputs
        if one.kind not in _DECISIONS
        for group in one.groups
        if group.why_not
    ]
