"""Raises events: numbers them, bounds text of foreign origin, and adds them to the outbox.

A caller raises an event at the moment it observes the fact, with the sentence that it writes to the log.
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
"""Characters; that many make one or two kilobytes."""
_MOST_NAME = 63


class Subject(NamedTuple):
    """The model, version and job that an event is about."""

    model: str = ""
    version: int = 0
    job: str = ""


NOTHING: Final = Subject()


class _End(msgspec.Struct):
    """The fields that identify an event about a job's end; other fields may belong to another version of the agent."""

    kind: str
    job: str = ""


class Events:
    """Used from the consumer only.

    Args:
        device: id of the device that raises the events.
        outbox: receives the events.
        stamp: returns a message with time, sequence number and boot id.
        on_raised: called after each event, so that it is published.
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
            kind: the kind of event.
            message: one sentence for a person.
            code: one of the stable codes; empty if none applies.
            about: the model that the event is about.
            at_any_cost: store the event on disk even when the day's write budget is used up.
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
        if len(payload) > MOST_BYTES:  # only an absurdly long device id leads here; every other field is bounded
            payload = encode(msgspec.structs.replace(event, message=""))
        self._outbox.add(number, payload, at_any_cost=at_any_cost)
        self._on_raised()

    def tell_end(self, kind: str, message: str, *, code: str, about: Subject) -> None:
        """Raise an event about a job's end, unless one waits already, as after a power cut before the job's report."""
        for waiting in self._outbox.waiting:
            with suppress(*UNDECODABLE):
                known = msgspec.json.decode(waiting.payload, type=_End)
                if (known.kind, known.job) == (kind, about.job):
                    return
        self.tell(kind, message, code=code, about=about)

    def tell_lost(self, *, at_any_cost: bool = False) -> None:
        """Raise an event with the number of dropped events, if any. Call this when the outbox has room for one more."""
        lost, self._outbox.lost = self._outbox.lost, 0
        if lost:
            text = f"{counted(lost, 'event')} of this device could not be stored and are lost"
            self.tell("events_lost", text, at_any_cost=at_any_cost)
