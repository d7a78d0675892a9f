"""Converts time stamps to seconds. Pure.

Text may be ISO 8601 with a ``T`` or a blank (``2026-05-01T12:00:00.250Z``), the same with slashes, days first with
points (``01.05.2026 12:00:00``), or a time of day (``12:00:00,250``, ``12:00:00:250``, ``1:02:03 PM``; ``02:03.5`` are
minutes and seconds). An ambiguous date (``5/1/2026``) or one in words (``01-May-2026``) is ignored, and only the time
of day beside it is used: it also gives rate and gaps, and wraps each day. Numbers are seconds since 1970 or any other
start, in the unit given by the header, by their size, or by the rate.
"""

import re
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

UNITS = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}
DAY_S, HOUR_S = 86_400.0, 3_600.0
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}(?:[.,:]\d+)?))?(?:\s*([ap])\.?m\.?)?", re.ASCII | re.IGNORECASE)
_MINUTES = re.compile(r"(\d{1,2}):(\d{2}[.,]\d+)", re.ASCII)
_DATE = re.compile(r"\d{4}[-/]\d{1,2}[-/]\d{1,2}")
_DAY_FIRST = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})")
_SOME_DATE = re.compile(
    r"(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}([-/.])\d{1,2}\1(?:\d{4}|\d{2})"
    r"|\d{1,2}([- .]) ?[a-z]{3,9}\.?\2 ?(?:\d{4}|\d{2})|[a-z]{3,9}\.? \d{1,2},? \d{4})"
    r"(?:T|,?\s+|$)",
    re.ASCII | re.IGNORECASE,
)
"""A date of any kind, and the separator between it and the time of day."""
_ZONE = re.compile(r"\s*(?:Z|UTC|GMT|[+-]\d{2}:?\d{2})$")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAME = re.compile(
    r"(?:t|ts|(?:time|timestamp|time_?stamp|datetime|date_?time|date|zeit|zeitstempel|epoch|unix|unix_?time|elapsed|"
    r"elapsed_time|seconds_elapsed|time_elapsed|millis|micros)|"
    r"(?:t|ts|time|timestamp|elapsed|zeit|epoch)[ _](?P<unit>s|sec|ms|us|ns))"
)
_BY_NAME = {"millis": 1e-3, "micros": 1e-6, "seconds_elapsed": 1.0}
_EPOCH_SCALES = {1.0: (1e9, 1e10), 1e-3: (1e12, 1e13), 1e-6: (1e15, 1e16), 1e-9: (1e18, 1e19)}
"""Seconds per unit → range of times since 1970 in that unit, for the years 2001 to 2286."""
_MS_STEPS = (2, 1000)
"""Steps between which whole numbers count as milliseconds: 500 to 1 samples per second."""
Times = NDArray[np.float64]


class _Moment(NamedTuple):
    seconds: float
    period_s: float


def seconds(text: str) -> float | None:
    """Parse seconds since 1970 (UTC unless it names a zone), midnight or the full hour; None: ``text`` is no time."""
    found = _moment(text)
    return None if found is None else found.seconds


def period_of(text: str) -> float:
    """Return the period in seconds after which times such as ``text`` wrap: a day, an hour; 0: they do not."""
    found = _moment(text)
    return found.period_s if found else 0.0


def _moment(text: str) -> _Moment | None:
    if found := _MINUTES.fullmatch(text):
        return _Moment(int(found[1]) * 60 + float(found[2].replace(",", ".")), HOUR_S)
    if (time := _clock(text)) is not None:
        return _Moment(time, DAY_S)
    if (time := _since_1970(text)) is not None:
        return _Moment(time, 0.0)
    some = _SOME_DATE.match(text)
    if some is None:
        return None
    time = _clock(_ZONE.sub("", text[some.end() :])) if some.end() < len(text) else 0.0
    if time is None:
        return None
    day = _since_1970(some[0].strip(" ,T"))
    return _Moment(time, DAY_S) if day is None else _Moment(day + time, 0.0)


def _since_1970(text: str) -> float | None:
    """Return seconds since 1970 of a date in one of the two unambiguous orders."""
    if not _DATE.match(text):
        found = _DAY_FIRST.match(text)
        if found is None:
            return None
        text = f"{found[3]}-{found[2]:0>2}-{found[1]:0>2}{text[found.end() :]}"
    try:
        time = datetime.fromisoformat(text.replace("/", "-"))
    except ValueError:
        return None
    return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH).total_seconds()


def _clock(text: str) -> float | None:
    """Return seconds since midnight of a time of day in 24-hour or 12-hour form."""
    found = _CLOCK.fullmatch(text)
    if found is None:
        return None
    hours = int(found[1])
    if half := found[4]:
        hours = hours % 12 + 12 * (half in "pP")
    return hours * 3600 + int(found[2]) * 60 + float((found[3] or "0").replace(",", ".").replace(":", "."))


def has_clock(text: str) -> bool:
    """Return whether a time is more than a date."""
    return ":" in text


def is_time_name(name: str) -> bool:
    """Return whether ``name`` may name a time: ``t``, ``Time``, ``timestamp_ms``; ``T`` is a temperature."""
    return _NAME.fullmatch(name if len(name) == 1 else name.lower()) is not None


class Scale(NamedTuple):
    """Seconds per unit of a column of times, and whether the file itself states the unit."""

    seconds: float
    said: bool


def scale_of(name: str, unit: str, times: Times, rate_hz: float | None) -> Scale | None:
    """Determine the unit of a column of numbers; None if it is unclear.

    Args:
        name: name of the column.
        unit: unit in the header; may be empty.
        times: its first values.
        rate_hz: the operator's samples per second, if configured.
    """
    found = _NAME.fullmatch(name.lower())
    if stated := UNITS.get(unit.lower()) or UNITS.get((found and found["unit"]) or "") or _BY_NAME.get(name.lower()):
        return Scale(stated, said=True)
    for scale, (low, high) in _EPOCH_SCALES.items():
        if low <= times[0] < high:
            return Scale(scale, said=True)
    steps = np.diff(times)
    step = float(np.median(steps[steps > 0])) if np.any(steps > 0) else 0.0
    if rate_hz and step:
        fitting = [scale for scale in (1.0, 1e-3, 1e-6, 1e-9) if 0.8 <= rate_hz * step * scale <= 1.25]  # noqa: PLR2004
        if fitting:
            return Scale(fitting[0], said=False)
    if np.any(times % 1):
        return Scale(1.0, said=False)
    return Scale(1e-3, said=False) if _MS_STEPS[0] <= step <= _MS_STEPS[1] else None
