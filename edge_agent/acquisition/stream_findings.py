"""What is said of a stream, whoever has read it: each sentence once, with its code. Pure.

A :class:`StreamFinding` is about the data that came; an error is why no more can come of a source.
"""

from typing import NamedTuple

from edge_agent.acquisition.arrivals import TOO_FAST, TOO_SLOW
from edge_agent.advice.remedy import split_advice
from edge_agent.errors import LimitError, SourceError
from edge_agent.strict import counted

_MINUTE_S, _HOUR_S = 60, 3600


class StreamFinding(NamedTuple):
    """Something about a stream: a stable code, one sentence, and whether it refuses the data."""

    code: str
    message: str
    refuse: bool


def rate_finding(seen_hz: float, rate_hz: float, said_by: str = "rate_hz") -> StreamFinding | None:
    """Whether the samples a second that were seen fit ``rate_hz``, which ``said_by`` says; None if they do."""
    text = f"{seen_hz:.4g} samples a second came, {said_by} says {rate_hz:g}; set rate_hz = {seen_hz:.4g} in [sources]"
    if seen_hz < TOO_SLOW * rate_hz:
        return StreamFinding("wrong_rate", text, refuse=True)
    if seen_hz > TOO_FAST * rate_hz:
        return StreamFinding("wrong_rate", f"{text}, unless this is a replay", refuse=False)
    return None


def malformed_finding(samples: int, example: str = "", *, live: bool = True) -> StreamFinding | None:
    """Of so many samples that were dropped; None of none.

    Args:
        samples: how many.
        example: one of them, and what is wrong with it; may be empty.
        live: whether a sensor sent them; else they stand in a file.
    """
    if not samples:
        return None
    such = f", such as {example}" if example else ""
    text = f"{'1 malformed sample was' if samples == 1 else f'{samples} malformed samples were'} dropped{such}"
    if not split_advice(example)[1]:
        text += "; check the sensor's cable and framing" if live else "; correct them in the recording"
    return StreamFinding("malformed_samples", text, refuse=False)


def gaps_finding(interruptions: int) -> StreamFinding | None:
    """Of so many interruptions; None of none."""
    if not interruptions:
        return None
    times = "once" if interruptions == 1 else f"{interruptions} times"
    text = f"the stream was interrupted {times}, and what was incomplete captured again; check cable, power and load"
    return StreamFinding("stream_gaps", text, refuse=False)


def silence_error(name: str, silence_s: float, *, ever_heard: bool, trouble: str) -> SourceError:
    """Why source ``name`` is given up, of which nothing has come for ``silence_s``; ``trouble`` is what it knows."""
    code, what = ("source_lost", "stopped sending") if ever_heard else ("source_silent", "sends nothing")
    remedy = trouble or "check power, cable, baud and framing"
    return SourceError(code, f"source {name!r} {what}: not one sample in {silence_s:g} s; {remedy}")


def deadline_error(name: str, missing: int, after_s: float) -> LimitError:
    """Why source ``name`` is given up, which sends, but too little."""
    lacks = f"{counted(missing, 'sample')} of source {name!r} {'is' if missing == 1 else 'are'} still missing"
    text = f"{lacks} after {_duration(after_s)}; check the sensor's rate and cable"
    return LimitError("capture_timeout", text)


def _duration(seconds: float) -> str:
    if seconds < _MINUTE_S:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004  # two digits
    if seconds < _HOUR_S:
        return f"{seconds / _MINUTE_S:.0f} min"
    return f"{seconds / _HOUR_S:.1f} h"
