"""A message in flight to the broker, and the broker's refusals."""

from typing import Protocol

from edge_agent.errors import BrokerError


class Delivery(Protocol):
    """The library's handle of a message that it has accepted."""

    mid: int

    def is_published(self) -> bool:
        """Return whether the broker has it (QoS 0: whether it was written)."""

    def wait_for_publish(self, timeout: float | None = None) -> None:
        """Wait until it is published."""


class Refusals:
    """message id → the broker's reason for refusing it; stores only the newest ``most`` that nobody has taken."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._reasons: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._reasons)

    def note(self, mid: int, reason: str) -> None:
        """Record that the broker refused message ``mid``."""
        if len(self._reasons) >= self._most:
            self._reasons.pop(next(iter(self._reasons)))
        self._reasons[mid] = reason

    def take(self, mid: int) -> str:
        """Return and forget why the broker refused message ``mid``; empty if it did not."""
        return self._reasons.pop(mid, "")

    def clear(self) -> None:
        """Forget all refusals: a new connection reuses the ids."""
        self._reasons.clear()


class Sent:
    """A message in flight to the broker; without a ``delivery`` it was not sent, because of ``trouble``."""

    __slots__ = ("_delivery", "_refusals", "_trouble")

    def __init__(self, delivery: Delivery | None, refusals: Refusals, trouble: str = "") -> None:
        self._delivery = delivery
        self._refusals = refusals
        self._trouble = trouble

    @property
    def taken(self) -> bool:
        """Whether it is in flight, or has arrived."""
        return self._delivery is not None

    @property
    def done(self) -> bool:
        """Whether the broker has it (QoS 0: whether it was written)."""
        return self._delivery is not None and self._delivery.is_published()

    def refusal(self) -> str:
        """Return, once, why the broker refused it; empty: it did not, or has not answered yet (see :attr:`done`)."""
        return self._refusals.take(self._delivery.mid) if self._delivery is not None else ""

    def wait(self, timeout_s: float) -> bool:
        """Wait until the broker has acknowledged it; False after the time-out (it may still arrive).

        Raises:
            BrokerError: the message was not sent (no connection, too many unacknowledged), or the broker refused it.
        """
        if self._delivery is None:
            raise BrokerError("broker_unreachable", f"not sent: {self._trouble}")
        self._delivery.wait_for_publish(timeout_s)
        if reason := self._refusals.take(self._delivery.mid):
            raise BrokerError("broker_refused", f"the broker refused a message: {reason}")
        return self._delivery.is_published()
