"""Times on the wire: RFC 3339, UTC, from 1970 to 9999."""

from datetime import UTC, datetime
from typing import Literal

MAX_TIME = 253_402_300_799.0
"""9999-12-31T23:59:59Z: RFC 3339 has no later time. The same local time in another zone may be later than this."""


def rfc3339(seconds: float, *, timespec: Literal["seconds", "milliseconds"] = "milliseconds") -> str:
    """Format seconds since the epoch as RFC 3339 UTC, truncated to ``timespec`` and clamped to 1970-9999."""
    bounded = max(0.0, min(seconds, MAX_TIME))
    return datetime.fromtimestamp(bounded, UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def parse_rfc3339(text: str) -> float | None:
    """Return seconds since the epoch; None if ``text`` is no RFC 3339 time with a zone, or not in 1970-9999."""
    try:
        moment = datetime.fromisoformat(text)
        seconds = moment.timestamp() if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None
    return seconds if seconds is not None and 0.0 <= seconds <= MAX_TIME else None
