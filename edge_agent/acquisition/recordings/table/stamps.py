"""Time stamps become seconds. Pure.

Of text: ISO 8601 with a ``T`` or a blank (``2026-05-01T12:00:00.250Z``), the same with slashes, days first with points
(``01.05.2026 12:00:00``), and times of day (``12:00:00,250``). Of numbers: seconds since 1970 or any other beginning,
in the unit that the header says, or that their size or the rate shows.
"""

import re
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

UNITS = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}(?:[.,]\d+)?))?")
_DATE = re.compile(r"\d{4}[-/]\d{1,2}[-/]\d{1,2}")
_DAY_FIRST = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAME = re.compile(
    r"(?:t|ts|(?:time|timestamp|time_?stamp|datetime|date_?time|date|zeit|zeitstempel|epoch|unix|unix_?time|elapsed|"
    r"elapsed_time|seconds_elapsed|time_elapsed|millis|micros)|"
    r"(?:t|ts|time|timestamp|elapsed|zeit|epoch)[ _](?P<unit>s|sec|ms|us|ns))"
)
_BY_NAME = {"millis": 1e-3, "micros": 1e-6, "seconds_elapsed": 1.0}
_EPOCH_SCALES = {1.0: (1e9, 1e10), 1e-3: (1e12, 1e13), 1e-6: (1e15, 1e16), 1e-9: (1e18, 1e19)}
"""Seconds since 1970 in each unit lie between these for the years 2001 to 2286."""
_MS_STEPS = (2, 1000)
"""Whole numbers that go up by so much are milliseconds: 500 to 1 samples a second."""
Times = NDArray[np.float64]


def seconds(text: str) -> float | None:
    """Seconds since 1970 (or midnight, of a time of day) that ``text`` says; None if it is no time. Zone: else UTC."""
    if found := _CLOCK.fullmatch(text):
        return int(found[1]) * 3600 + int(found[2]) * 60 + float((found[3] or "0").replace(",", "."))
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


def has_clock(text: str) -> bool:
    """Whether a time is more than a date."""
    return ":" in text


def is_time_name(name: str) -> bool:
    """Whether a column of this name may hold the time: ``t``, ``Time``, ``timestamp_ms``; ``T`` is a temperature."""
    return _NAME.fullmatch(name if len(name) == 1 else name.lower()) is not None


class Scale(NamedTuple):
    """Seconds of one unit of a column of times, and whether the file itself says so."""

    seconds: float
    said: bool


def scale_of(name: str, unit: str, times: Times, rate_hz: float | None) -> Scale | None:
    """In which unit a column of numbers is; None if that is not clear.

    Args:
        name: of the column.
        unit: that the header says; may be empty.
        times: its first values.
        rate_hz: samples a second, as far as the operator says.
    """
    found = _NAME.fullmatch(name.lower())
    if said := UNITS.get(unit.lower()) or UNITS.get((found and found["unit"]) or "") or _BY_NAME.get(name.lower()):
        return Scale(said, said=True)
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
