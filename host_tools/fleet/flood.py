"""How many messages of one device are dealt with: a bucket of tokens each, so that none takes the time of all. Pure.

A large message counts for several, as it takes the time and the room of these.
"""

from dataclasses import dataclass

RATE = 20.0
"""Messages a second that a device may send for ever; one at work on a job sends three."""
BURST = 500
"""Messages at once: a device that connects says again what it is and all of its newest jobs."""
MOST_DEVICES = 20_000
"""Of more than these, the others share one bucket."""
SAY_EVERY_S = 60.0
_BYTES = 4096
"""Of a message that counts once; for each so many more it counts once more."""
_OTHERS = ""
"""Whose bucket that is, and that of topics of no device."""


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float
    left_out: int = 0
    unsaid: int = 0
    said_at: float = float("-inf")


class Flood:
    """Who sends too much, and how much of it was left out."""

    def __init__(self, rate: float = RATE, burst: int = BURST) -> None:
        self._rate = rate
        self._burst = burst
        self._buckets: dict[str, _Bucket] = {}
        self._unsaid: set[str] = set()

    def lets_in(self, device: str, now: float, size: int = 0) -> bool:
        """Whether a message of ``device``, of ``size`` bytes and come at ``now`` (seconds), is to be dealt with."""
        name = device if device in self._buckets or len(self._buckets) < MOST_DEVICES else _OTHERS
        bucket = self._buckets.setdefault(name, _Bucket(self._burst, now))
        bucket.tokens = min(self._burst, bucket.tokens + (now - bucket.at) * self._rate)
        bucket.at = now
        cost = 1 + size // _BYTES
        if bucket.tokens >= min(cost, self._burst):
            bucket.tokens -= min(cost, self._burst)
            return True
        bucket.left_out += 1
        bucket.unsaid += 1
        self._unsaid.add(name)
        return False

    @property
    def left_out(self) -> dict[str, int]:
        """Device → messages that were left out, of those that have sent too much."""
        return {name: bucket.left_out for name, bucket in self._buckets.items() if bucket.left_out}

    def news(self, now: float, *, last: bool = False) -> list[str]:
        """A sentence about each device whose messages are left out, at most once a minute; ``last``: now all of it."""
        told = []
        for device in sorted(self._unsaid):
            bucket = self._buckets[device]
            if now - bucket.said_at < SAY_EVERY_S and not last:
                continue
            number, bucket.unsaid, bucket.said_at = bucket.unsaid, 0, now
            self._unsaid.discard(device)
            who = f"device {device}" if device else "who is no device"
            told.append(f"{who} sends more than {self._rate:g} messages a second; left out so far: {number} more")
        return told
