"""Times on the wire: RFC 3339, UTC."""

from datetime import UTC, datetime
from typing import Literal


def rfc3339(seconds: float, *, timespec: Literal["seconds", "milliseconds"] = "milliseconds") -> str:
    """Seconds since the epoch as RFC 3339 UTC, cut to ``timespec``."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def parse_rfc3339(text: str) -> float | None:
    """Seconds since the epoch, or None if ``text`` is no RFC 3339 time with a zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo else None
