"""Callbacks for messages that the broker acknowledges or refuses.

One thread sends a message, another one receives its acknowledgement, maybe before the first one knows the message id.
A lock could deadlock: the library holds its own lock in both places, so the order would differ. Instead each side
stores its half, and the one that comes second finds both.
"""

from collections.abc import Callable
from typing import NamedTuple

Then = Callable[[str], None]
"""Called once, on the link's or the sender's thread: with "" once the broker has the message, else with the reason."""


class _UnderWay(NamedTuple):
    topic: str
    then: Then | None
    lasting: bool


class Acknowledgements:
    """The messages in flight; for QoS 0, those not yet written to the socket."""

    def __init__(self) -> None:
        self._expected: dict[int, _UnderWay] = {}
        self._came: dict[int, str] = {}
        self._given_up: str | None = None

    def expect(self, mid: int, topic: str, then: Then | None, *, lasting: bool) -> None:
        """Record that message ``mid`` was sent to ``topic``; ``lasting``: it outlives its connection."""
        self._expected[mid] = _UnderWay(topic, then, lasting)
        reason = self._came.get(mid, self._given_up)
        if reason is not None:
            self._settle(mid, reason)

    def came(self, mid: int, reason: str) -> str:
        """Record that the broker has the message, or refused it for ``reason``.

        Returns its topic; empty if its sender has not called :meth:`expect` yet.
        """
        self._came[mid] = reason
        return self._settle(mid, reason)

    def is_lasting(self, mid: int) -> bool:
        """Return whether message ``mid`` is in flight and outlives its connection."""
        one = self._expected.get(mid)
        return one is not None and one.lasting

    @property
    def first(self) -> str:
        """The topic of the oldest message in flight that outlives its connection; empty: there is none."""
        return next((one.topic for one in list(self._expected.values()) if one.lasting), "")

    def begin(self) -> None:
        """Start a new connection: messages that are not lasting were lost with the old one."""
        for mid, one in list(self._expected.items()):
            if not one.lasting:
                self._expected.pop(mid, None)

    def give_up(self, reason: str) -> None:
        """Fail all messages in flight for ``reason``, and those that a thread is about to record as sent."""
        self._given_up = reason
        for mid in list(self._expected):
            self._settle(mid, reason)

    def _settle(self, mid: int, reason: str) -> str:
        """Call back if both halves are there. ``dict.pop`` is atomic, so only one thread gets the entry."""
        one = self._expected.pop(mid, None)
        if one is None:
            return ""
        self._came.pop(mid, None)
        if one.then is not None:
            one.then(reason)
        return one.topic
