"""Findings and errors about a stream, shared by all readers: one sentence each, with its code. Pure.

A :class:`StreamFinding` is about the data that arrived; an error is the reason why a source can deliver no more.
"""

from typing import NamedTuple

from edge_agent.acquisition.arrivals import TOO_FAST, TOO_SLOW
from edge_agent.advice.remedy import split_advice
from edge_agent.errors import LimitError, SourceError
from edge_agent.strict import counted

_MINUTE_S, _HOUR_S = 60, 3600


class StreamFinding(NamedTuple):
    """A finding about a stream: a stable code, one sentence, and whether the data are refused."""

    code: str
    message: str
    refuse: bool


def rate_finding(seen_hz: float, rate_hz: float, said_by: str = "rate_hz") -> StreamFinding | None:
    """Compare the measured rate with ``rate_hz``, whose origin is ``said_by``; None if they match."""
    text = (
        f"{seen_hz:.4g} samples per second arrived, {said_by} says {rate_hz:g}; "
        f"set rate_hz = {seen_hz:.4g} in [sources]"
    )
    if seen_hz < TOO_SLOW * rate_hz:
        return StreamFinding("wrong_rate", text, refuse=True)
    if seen_hz > TOO_FAST * rate_hz:
        return StreamFinding("wrong_rate", f"{text}, unless this is a replay", refuse=False)
    return None


def malformed_finding(samples: int, example: str = "", *, live: bool = True) -> StreamFinding | None:
    """Return the finding about dropped samples; None if there are none.

    Args:
        samples: their number.
        example: one of them, and its fault; may be empty.
        live: whether a sensor sent them; else they are from a file.
    """
    if not samples:
        return None
    such = f", such as {example}" if example else ""
    text = f"{'1 malformed sample was' if samples == 1 else f'{samples} malformed samples were'} dropped{such}"
    if not split_advice(example)[1]:
        text += "; check the sensor's cable and framing" if live else "; correct them in the recording"
    return StreamFinding("malformed_samples", text, refuse=False)


def gaps_finding(interruptions: int) -> StreamFinding | None:
    """Return the finding about interruptions; None if there are none."""
    if not interruptions:
        return None
    times = "once" if interruptions == 1 else f"{interruptions} times"
    text = (
        f"the stream was interrupted {times}, and incomplete windows were captured again; check cable, power and load"
    )
    return StreamFinding("stream_gaps", text, refuse=False)


def silence_error(name: str, silence_s: float, *, ever_heard: bool, trouble: str) -> SourceError:
    """Return the error for a source without a sample for ``silence_s``; ``trouble`` is the reason that it knows."""
    code, fault = ("source_lost", "stopped sending") if ever_heard else ("source_silent", "sends nothing")
    remedy = trouble or "check power, cable, baud and framing"
    return SourceError(code, f"source {name!r} {fault}: not one sample in {silence_s:g} s; {remedy}")


def deadline_error(name: str, missing: int, after_s: float) -> LimitError:
    """Return the error for a source that sends too few samples before the deadline."""
    lacks = f"{counted(missing, 'sample')} of source {name!r} {'is' if missing == 1 else 'are'} still missing"
    text = f"{lacks} after {_duration(after_s)}; check the sensor's rate and cable"
    return LimitError("capture_timeout", text)


def _duration(seconds: float) -> str:
    if seconds < _MINUTE_S:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004  # two digits
    if seconds < _HOUR_S:
        return f"{seconds / _MINUTE_S:.0f} min"
    return f"{seconds / _HOUR_S:.1f} h"
