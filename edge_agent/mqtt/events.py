"""What happens on the link to the broker, as values. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Connected:
    """The broker accepted us: subscribe again, publish again.

    Attributes:
        session_present: the broker remembers this client's session; subscribe all the same.
        protocol: ``5`` or ``3.1.1``.
    """

    session_present: bool
    protocol: str = "3.1.1"


@dataclass(frozen=True, slots=True)
class Disconnected:
    """A connection ended, or the first attempt failed. Attempts go on; no event tells of further ones that fail.

    Attributes:
        reason: one sentence.
        code: ``broker_unreachable``, ``broker_refused`` or ``broker_untrusted``.
        twin: another client connects by our id, as far as the broker's behaviour tells.
        gave_up: the broker ends each connection rather than take what waits for it, so that was dropped.
    """

    reason: str
    code: str = "broker_unreachable"
    twin: bool = False
    gave_up: bool = False

    @property
    def lasting(self) -> bool:
        """Whether waiting changes nothing: a person must, here or at the broker."""
        return self.code != "broker_unreachable"


@dataclass(frozen=True, slots=True)
class SubscribeFailed:
    """The broker refused these filters. Many brokers grant what they will not deliver, so silence proves nothing."""

    filters: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message. An empty payload with ``retained`` unset means that a retained message was cleared.

    Attributes:
        token: what ``ack`` needs; valid only within the connection it came by.
    """

    topic: str
    payload: bytes
    retained: bool
    token: tuple[int, int, int] = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class Oversized:
    """A message whose payload was larger than its topic permits, and was dropped.

    Attributes:
        size: of the payload in bytes, or of as much of it as was read.
        token: as of :class:`Incoming`.
    """

    topic: str
    size: int
    token: tuple[int, int, int] = (0, 0, 0)


Event = Connected | Disconnected | SubscribeFailed | Incoming | Oversized
