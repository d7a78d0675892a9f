"""A message on its way to the broker, and what the broker refused."""

from typing import Protocol

from edge_agent.errors import BrokerError


class Delivery(Protocol):
    """What the library knows of a message that it has taken."""

    mid: int

    def is_published(self) -> bool:
        """Whether the broker has it (QoS 0: whether it was written)."""

    def wait_for_publish(self, timeout: float | None = None) -> None:
        """Wait for that."""


class Refusals:
    """Why the broker refused messages, by their ids; of those that nobody asks about only the newest ``most``."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._reasons: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._reasons)

    def note(self, mid: int, reason: str) -> None:
        """The broker refused message ``mid``."""
        if len(self._reasons) >= self._most:
            self._reasons.pop(next(iter(self._reasons)))
        self._reasons[mid] = reason

    def take(self, mid: int) -> str:
        """Why it refused message ``mid``; empty if it did not. Told once."""
        return self._reasons.pop(mid, "")

    def clear(self) -> None:
        """Forget all: with a new connection ids begin anew."""
        self._reasons.clear()


class Sent:
    """A message on its way to the broker; without a ``delivery`` it was not sent, because of ``trouble``."""

    __slots__ = ("_delivery", "_refusals", "_trouble")

    def __init__(self, delivery: Delivery | None, refusals: Refusals, trouble: str = "") -> None:
        self._delivery = delivery
        self._refusals = refusals
        self._trouble = trouble

    @property
    def taken(self) -> bool:
        """Whether it is on its way, or has arrived."""
        return self._delivery is not None

    @property
    def done(self) -> bool:
        """Whether the broker has it (QoS 0: whether it was written)."""
        return self._delivery is not None and self._delivery.is_published()

    def refusal(self) -> str:
        """Why the broker refused it, told once; empty: it did not, or has not answered yet (see :attr:`done`)."""
        return self._refusals.take(self._delivery.mid) if self._delivery is not None else ""

    def wait(self, timeout_s: float) -> bool:
        """Wait until the broker has acknowledged; False when time is up (it may still arrive).

        Raises:
            BrokerError: the message was not taken: no connection, too many unacknowledged, or refused by the broker.
        """
        if self._delivery is None:
            raise BrokerError("broker_unreachable", f"not sent: {self._trouble}")
        self._delivery.wait_for_publish(timeout_s)
        if reason := self._refusals.take(self._delivery.mid):
            raise BrokerError("broker_refused", f"the broker refused a message: {reason}")
        return self._delivery.is_published()
