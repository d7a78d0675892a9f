"""Times in readable form: their age, with the exact time as a tooltip. Pure."""

from datetime import UTC, datetime

from edge_agent.report.html.markup import Markup, element
from edge_agent.report.html.numbers import UNKNOWN

_UNITS = (("d", 86_400), ("h", 3600), ("min", 60))
_YEAR_9999 = 253_402_300_799


def moment(at: float | None, now: float) -> Markup:
    """A ``time`` element; both values are seconds since the epoch, and an unknown time is a dash."""
    if at is None or not 0 < at <= _YEAR_9999:
        return element("span", UNKNOWN, class_="unknown")
    exact = datetime.fromtimestamp(at, UTC)
    return element(
        "time", ago(now - at), datetime=exact.strftime("%Y-%m-%dT%H:%M:%SZ"), title=f"{exact:%Y-%m-%d %H:%M:%S} UTC"
    )


def ago(seconds: float) -> str:
    """The age in the largest unit that fits at least twice."""
    for unit, length in _UNITS:
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit} ago"
    return "just now" if seconds < 60 else "1 min ago"  # noqa: PLR2004  # a minute
