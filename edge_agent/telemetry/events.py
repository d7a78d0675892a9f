"""Raises events: numbers them, bounds what is foreign in them, and puts them into the outbox.

Whoever raises one has seen it happen just now, and says it in the sentence that the log has.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple

import msgspec

from edge_agent.foreign.decoding import cut_text
from edge_agent.printable import printable
from edge_agent.strict import UNDECODABLE, counted
from edge_agent.telemetry.outbox import MOST_BYTES, Outbox
from edge_agent.wire.messages import Message, encode
from edge_agent.wire.telemetry import EVENT_KINDS, Event

_MOST_MESSAGE = 500
"""Characters; as many are a kilobyte or two."""
_MOST_NAME = 63


class Subject(NamedTuple):
    """What an event is about."""

    model: str = ""
    version: int = 0
    job: str = ""


NOTHING: Final = Subject()


class _End(msgspec.Struct):
    """What tells one event about a job's end from another; the rest may be of another version of the agent."""

    kind: str
    job: str = ""


class Events:
    """Used from the consumer only.

    Args:
        device: whose events they are.
        outbox: takes them.
        stamp: gives a message its time, number and boot.
        on_raised: is called when there is one more to publish.
    """

    def __init__(
        self,
        device: str,
        outbox: Outbox,
        stamp: Callable[[], Message],
        on_raised: Callable[[], None] = lambda: None,
    ) -> None:
        self._device = device
        self._outbox = outbox
        self._stamp = stamp
        self._on_raised = on_raised

    def tell(
        self, kind: str, message: str, *, code: str = "", about: Subject = NOTHING, at_any_cost: bool = False
    ) -> None:
        """Raise an event of one of ``EVENT_KINDS``.

        Args:
            kind: what has happened.
            message: one sentence for a person.
            code: of the list of codes; empty: none fits.
            about: the model that it is about.
            at_any_cost: put it on the disk also where the day's writes are used up.
        """
        stamp = self._stamp()
        number = self._outbox.next_number()
        event = Event(
            device=self._device,
            event_seq=number,
            kind=kind,
            severity=EVENT_KINDS[kind].severity,
            code=code,
            message=cut_text(printable(message), _MOST_MESSAGE),
            model=cut_text(about.model, _MOST_NAME),
            version=about.version,
            job=cut_text(about.job, _MOST_NAME),
            ts=stamp.ts,
            seq=stamp.seq,
            boot_id=stamp.boot_id,
        )
        payload = encode(event)
        if len(payload) > MOST_BYTES:  # all of it is bounded but a name of this device that nobody has
            payload = encode(msgspec.structs.replace(event, message=""))
        self._outbox.add(number, payload, at_any_cost=at_any_cost)
        self._on_raised()

    def tell_end(self, kind: str, message: str, *, code: str, about: Subject) -> None:
        """Raise an event about a job's end, unless it waits already: power may fail between it and the job's report."""
        for waiting in self._outbox.waiting:
            with suppress(*UNDECODABLE):
                known = msgspec.json.decode(waiting.payload, type=_End)
                if (known.kind, known.job) == (kind, about.job):
                    return
        self.tell(kind, message, code=code, about=about)

    def tell_lost(self, *, at_any_cost: bool = False) -> None:
        """Say how many were dropped, if any were. There should be room for that, or another one is."""
        lost, self._outbox.lost = self._outbox.lost, 0
        if lost:
            text = f"{counted(lost, 'event')} of this device could not be kept and are lost"
            self.tell("events_lost", text, at_any_cost=at_any_cost)
