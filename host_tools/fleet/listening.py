"""Receives a whole fleet's messages for as long as a program runs: the retained ones first, then the live ones.

After each new connection all retained messages are read again, as some may have been cleared meanwhile. If the broker
goes away, the loop waits for it without limit; only a refusal by the broker ends it.
"""

import time
from collections.abc import Callable
from typing import Protocol

from edge_agent.errors import BrokerError
from edge_agent.mqtt import Incoming
from host_tools.broker.packed import Packed
from host_tools.broker.session import Session, StoppedError, to_stderr
from host_tools.broker.settings import Settings
from host_tools.fleet.reading import live_filters, retained_filters

_TICK_S, _HURRY_S = 0.2, 0.005
_AGAIN_S = 2.0
_WAITABLE = ("broker_unreachable", "snapshot_incomplete")


class Ear(Protocol):
    """The receiver of a fleet's messages."""

    @property
    def wants_all(self) -> bool:
        """Whether all retained messages should be read again."""

    def connected(self, *, up: bool) -> None:
        """Note whether the broker is connected from now on."""

    def kept(self, messages: Packed) -> None:
        """Handle all retained messages: topic → payload."""

    def heard(self, message: Incoming) -> None:
        """Handle a message; after an outage, retained messages arrive here once more."""

    def tick(self) -> bool:
        """Do periodic work, a few times a second; True asks for another call at once."""


def follow(
    settings: Settings,
    ear: Ear,
    *,
    events: bool,
    say: Callable[[str], None] = to_stderr,
    until: Callable[[], bool] = lambda: False,
) -> None:
    """Receive messages until ``until`` returns True, or for ever; ``events``: include events.

    Raises:
        BrokerError: the broker was not reachable at the start, or it refuses the client.
    """
    came = False
    while not until():
        try:
            with Session(settings, say, until) as session:
                came = True
                _hear(session, ear, until, events=events)
        except StoppedError:
            return
        except BrokerError as error:
            if not came or error.code not in _WAITABLE:
                raise
            say(f"{error.message}; waiting for it")
            _pause(ear, until)
        finally:
            ear.connected(up=False)


def _hear(session: Session, ear: Ear, until: Callable[[], bool], *, events: bool) -> None:
    topics = session.topics
    live = (*live_filters(topics), *((topics.devices("event"),) if events else ()))
    heard_at, hurry = -1, False
    while not until():
        if heard_at != session.connections or ear.wants_all:
            found = Packed()
            session.snapshot(*retained_filters(topics), listen=True, into=found)
            ear.kept(found)
            del found
            if heard_at < 0:
                session.subscribe(*live)
            heard_at = session.connections
        up = session.link.connected
        ear.connected(up=up)
        if (message := session.next(_HURRY_S if hurry else _TICK_S)) is not None:
            ear.heard(message)
        hurry = ear.tick()


def _pause(ear: Ear, until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _AGAIN_S
    while not until() and time.monotonic() < deadline:
        ear.tick()
        time.sleep(_TICK_S)
