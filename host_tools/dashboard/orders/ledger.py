"""The log of orders: sender, time, action, targets, and the answer of each device.

It is kept in bounded memory; each line also goes to the host's log.
"""

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from host_tools.broker.commands import Answer

MOST: Final = 200
_MOST_NOTES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One order.

    Attributes:
        at: time of the order, in seconds since the epoch.
        who: its sender.
        action: rollback, recalibrate, cancel or push.
        about: a model and its version, or a job.
        whom: scopes, as in topics.
        devices: devices that should answer, as far as they are known.
        answers: their answers; for a device at work, its progress.
        waiting: whether the dashboard still works on the order.
        until: expiry of the sent order, also of one that may have been sent; empty: it was not sent.
        trouble: why it was not sent, or why its answers were not received; empty: neither.
        notes: sentences for a person.
        command: command line for the same order.
        job: job to follow; empty: none.
        once: id of its form, so that a form sent twice gives one order; empty: none.
    """

    id: str = field(default_factory=lambda: secrets.token_hex(6))
    at: float = field(default_factory=time.time)
    who: str
    action: str
    about: str
    whom: tuple[str, ...]
    command: str
    devices: tuple[str, ...] = ()
    answers: Mapping[str, Answer] = field(default_factory=dict)
    waiting: bool = True
    until: str = ""
    trouble: str = ""
    notes: tuple[str, ...] = ()
    job: str = ""
    once: str = ""

    @property
    def title(self) -> str:
        """The action and its subject in words."""
        return f"{self.action} {self.about}"

    @property
    def failure(self) -> str:
        """What went wrong on this side, in words; empty if nothing did."""
        if self.trouble and self.until:
            return f"Sent, and devices obey it until {self.until}; their answers were not received: {self.trouble}"
        return f"Not sent: {self.trouble}" if self.trouble else ""


class Ledger:
    """All orders, the newest first. Thread-safe."""

    def __init__(self, say: Callable[[str], None], changed: Callable[[], None]) -> None:
        """``say`` receives each line of the log; ``changed`` is called after each change."""
        self._say = say
        self._changed = changed
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    def entries(self) -> list[Entry]:
        """All stored orders, the newest first."""
        with self._lock:
            return list(reversed(self._entries.values()))

    def entry(self, number: str) -> Entry | None:
        """The order with this id."""
        with self._lock:
            return self._entries.get(number)

    def given(self, once: str) -> list[Entry]:
        """The orders that this form has already caused, except those that could not be sent."""
        with self._lock:
            found = [one for one in self._entries.values() if once and one.once == once]
        return [one for one in found if one.until or not one.trouble]

    def begin(self, entry: Entry) -> None:
        """Record a new order."""
        with self._lock:
            self._entries[entry.id] = entry
            while len(self._entries) > MOST:
                self._entries.popitem(last=False)
        self._log(entry.id, f"{entry.who} orders {entry.title} for {_some(entry.whom)}")

    def change(self, number: str, **changes: Any) -> None:
        """Change an order's fields without a line in the log."""
        with self._lock:
            if (entry := self._entries.get(number)) is not None:
                self._entries[number] = replace(entry, **changes)
        self._changed()

    def answer(self, number: str, device: str, answer: Answer, *, said: bool = True) -> None:
        """Record a device's answer; with ``said`` it is final and also goes to the log."""
        with self._lock:
            entry = self._entries.get(number)
            known = entry.answers.get(device) if entry else None
            if entry is None or known == answer:
                return
            self._entries[number] = replace(entry, answers={**entry.answers, device: answer})
        if said:
            self._log(number, f"{device} answers {answer.code or 'done'}: {answer.message}")
        else:
            self._changed()

    def note(self, number: str, text: str) -> None:
        """Record a sentence about the order."""
        with self._lock:
            entry = self._entries.get(number)
            if entry is not None and text not in entry.notes:
                self._entries[number] = replace(entry, notes=(*entry.notes, text)[-_MOST_NOTES:])
        self._log(number, text)

    def end(self, number: str, trouble: str = "") -> None:
        """Record that the dashboard's work on the order has ended."""
        self.change(number, waiting=False, trouble=trouble)
        if trouble and (entry := self.entry(number)) is not None:
            self._log(number, entry.failure)

    def _log(self, number: str, text: str) -> None:
        self._say(f"order {number}: {text}")
        self._changed()


def _some(names: Iterable[str], most: int = 20) -> str:
    every = list(names)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more
