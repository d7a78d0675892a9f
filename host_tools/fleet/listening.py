"""Hears a whole fleet for as long as a program runs: what the broker keeps, then what is said.

After each new connection all that the broker keeps is read again, as something may have been cleared meanwhile. A
broker that goes away is waited for, however long; only one that refuses us ends it.
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
    """Who hears."""

    @property
    def wants_all(self) -> bool:
        """Whether all that the broker keeps should be read again."""

    def connected(self, *, up: bool) -> None:
        """Whether the broker can be heard from now on."""

    def kept(self, messages: Packed) -> None:
        """Topic → payload of all that the broker keeps."""

    def heard(self, message: Incoming) -> None:
        """A message; after an outage what is retained comes here once more."""

    def tick(self) -> bool:
        """Called a few times a second; True: at once again, please."""


def follow(
    settings: Settings,
    ear: Ear,
    *,
    events: bool,
    say: Callable[[str], None] = to_stderr,
    until: Callable[[], bool] = lambda: False,
) -> None:
    """Hear until ``until`` says so, or for ever; ``events``: these, too.

    Raises:
        BrokerError: the broker was not there when we came, or it refuses us.
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
