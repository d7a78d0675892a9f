"""The events of the link to the broker, as values. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Connected:
    """The broker accepted the connection: the owner must subscribe and publish again.

    Attributes:
        session_present: the broker still has this client's session; the owner subscribes nevertheless.
        protocol: ``5`` or ``3.1.1``.
    """

    session_present: bool
    protocol: str = "3.1.1"


@dataclass(frozen=True, slots=True)
class Disconnected:
    """A connection ended, or the first attempt failed. Further failed attempts raise no event.

    Attributes:
        reason: one sentence.
        code: ``broker_unreachable``, ``broker_refused`` or ``broker_untrusted``.
        twin: another client seems to connect with our client id, judging by the broker's behaviour.
        gave_up: the broker closed each connection instead of accepting the queued messages, so they were dropped.
    """

    reason: str
    code: str = "broker_unreachable"
    twin: bool = False
    gave_up: bool = False

    @property
    def lasting(self) -> bool:
        """Whether waiting does not help: a person must change something, here or at the broker."""
        return self.code != "broker_unreachable"


@dataclass(frozen=True, slots=True)
class SubscribeFailed:
    """The broker refused these filters. Many brokers grant filters whose messages they never deliver."""

    filters: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message. An empty payload with ``retained`` unset means that a retained message was cleared.

    Attributes:
        token: for ``ack``; valid only within the connection of the message.
    """

    topic: str
    payload: bytes
    retained: bool
    token: tuple[int, int, int] = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class Oversized:
    """A message whose payload is larger than its topic permits; the payload was dropped.

    Attributes:
        size: bytes of the payload, or of the part of it that was read.
        token: as in :class:`Incoming`.
    """

    topic: str
    size: int
    token: tuple[int, int, int] = (0, 0, 0)


Event = Connected | Disconnected | SubscribeFailed | Incoming | Oversized
