"""Limits the messages of each device by a token bucket, so that no device takes all the time. Pure.

A large message counts as several, in proportion to its size.
"""

from dataclasses import dataclass

RATE = 20.0
"""Messages per second that a device may send continuously; one with a running job sends three."""
BURST = 500
"""Messages at once: after connecting, a device publishes its info and all of its newest jobs again."""
MOST_DEVICES = 20_000
"""Devices with their own bucket; all others share one."""
REPORT_EVERY_S = 60.0
_BYTES = 4096
"""Size that counts as one message."""
_OTHERS = ""
"""Name of the shared bucket, which also counts topics of no device."""


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float
    left_out: int = 0
    unreported: int = 0
    reported_at: float = float("-inf")


class Flood:
    """The devices that send too much, and how many of their messages were skipped."""

    def __init__(self, rate: float = RATE, burst: int = BURST) -> None:
        self._rate = rate
        self._burst = burst
        self._buckets: dict[str, _Bucket] = {}
        self._unreported: set[str] = set()

    def lets_in(self, device: str, now: float, size: int = 0) -> bool:
        """Whether to handle a message of ``device`` with ``size`` bytes, received at ``now`` (seconds)."""
        name = device if device in self._buckets or len(self._buckets) < MOST_DEVICES else _OTHERS
        bucket = self._buckets.setdefault(name, _Bucket(self._burst, now))
        bucket.tokens = min(self._burst, bucket.tokens + (now - bucket.at) * self._rate)
        bucket.at = now
        cost = 1 + size // _BYTES
        if bucket.tokens >= min(cost, self._burst):
            bucket.tokens -= min(cost, self._burst)
            return True
        bucket.left_out += 1
        bucket.unreported += 1
        self._unreported.add(name)
        return False

    @property
    def left_out(self) -> dict[str, int]:
        """Device → skipped messages, for devices that have sent too many."""
        return {name: bucket.left_out for name, bucket in self._buckets.items() if bucket.left_out}

    def news(self, now: float, *, last: bool = False) -> list[str]:
        """A sentence about each device whose messages are skipped, at most once a minute.

        ``last``: all remaining ones now.
        """
        sentences = []
        for device in sorted(self._unreported):
            bucket = self._buckets[device]
            if now - bucket.reported_at < REPORT_EVERY_S and not last:
                continue
            number, bucket.unreported, bucket.reported_at = bucket.unreported, 0, now
            self._unreported.discard(device)
            who = f"device {device}" if device else "an unknown sender"
            sentences.append(f"{who} sends more than {self._rate:g} messages a second; skipped: {number} more")
        return sentences
