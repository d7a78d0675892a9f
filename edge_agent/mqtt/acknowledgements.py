"""What is to be done once the broker has acknowledged a message, or refused it.

A message is sent by one thread and acknowledged on another, maybe before the first one knows its number. A lock would
be taken in both orders, as the library holds one of its own in both; so each side leaves its half, and whoever comes
second finds both.
"""

from collections.abc import Callable
from typing import NamedTuple

Then = Callable[[str], None]
"""Is called once, on the link's thread or on the sender's: with "" once the broker has the message, else with why."""


class _UnderWay(NamedTuple):
    topic: str
    then: Then | None
    lasting: bool


class Acknowledgements:
    """Messages that are under way; of QoS 0 those that are not written yet."""

    def __init__(self) -> None:
        self._expected: dict[int, _UnderWay] = {}
        self._came: dict[int, str] = {}
        self._given_up: str | None = None

    def expect(self, mid: int, topic: str, then: Then | None, *, lasting: bool) -> None:
        """Message ``mid`` was sent to ``topic``; ``lasting``: it outlives its connection."""
        self._expected[mid] = _UnderWay(topic, then, lasting)
        reason = self._came.get(mid, self._given_up)
        if reason is not None:
            self._settle(mid, reason)

    def came(self, mid: int, reason: str) -> str:
        """The broker has it, or refused it for ``reason``; returns its topic, empty if its sender has not said yet."""
        self._came[mid] = reason
        return self._settle(mid, reason)

    def is_lasting(self, mid: int) -> bool:
        """Whether message ``mid`` is under way, and outlives its connection."""
        one = self._expected.get(mid)
        return one is not None and one.lasting

    @property
    def first(self) -> str:
        """The topic of the oldest message that outlives its connection; empty: there is none."""
        return next((one.topic for one in list(self._expected.values()) if one.lasting), "")

    def begin(self) -> None:
        """There is a new connection: what was not lasting is gone with the old one."""
        for mid, one in list(self._expected.items()):
            if not one.lasting:
                self._expected.pop(mid, None)

    def give_up(self, reason: str) -> None:
        """None of them is sent any more, nor what a thread is just about to say that it has sent."""
        self._given_up = reason
        for mid in list(self._expected):
            self._settle(mid, reason)

    def _settle(self, mid: int, reason: str) -> str:
        """Tell, if both halves are there; to take out of a dict is one step, so only one thread gets it."""
        one = self._expected.pop(mid, None)
        if one is None:
            return ""
        self._came.pop(mid, None)
        if one.then is not None:
            one.then(reason)
        return one.topic
