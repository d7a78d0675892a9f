"""The log of orders: who, when, what, to whom, and what each answered.

In bounded memory; each line goes to the host's log, too.
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
        at: when it was given, in seconds since the epoch.
        who: gave it.
        action: rollback, recalibrate, cancel or push.
        about: a model and its version, or a job.
        whom: scopes, as in topics.
        devices: that should answer, as far as they are known.
        answers: what they have said; of one that is at work, how far it is.
        waiting: it is still under way here.
        sent: it lies at the broker, and devices obey it whatever becomes of us.
        trouble: why it was not sent, or why no more answers were heard; empty: nothing went wrong.
        notes: sentences that a person should know.
        command: what to type for the same.
        job: to follow; empty: none.
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
    sent: bool = False
    trouble: str = ""
    notes: tuple[str, ...] = ()
    job: str = ""

    @property
    def title(self) -> str:
        """What was ordered, in words."""
        return f"{self.action} {self.about}"


class Ledger:
    """Every order, the newest first. Thread-safe."""

    def __init__(self, say: Callable[[str], None], changed: Callable[[], None]) -> None:
        """``say``: is told each line of the log; ``changed``: is called after each change."""
        self._say = say
        self._changed = changed
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    def entries(self) -> list[Entry]:
        """All that are kept, the newest first."""
        with self._lock:
            return list(reversed(self._entries.values()))

    def entry(self, number: str) -> Entry | None:
        """The order of this id."""
        with self._lock:
            return self._entries.get(number)

    def begin(self, entry: Entry) -> None:
        """Note that somebody gave an order."""
        with self._lock:
            self._entries[entry.id] = entry
            while len(self._entries) > MOST:
                self._entries.popitem(last=False)
        self._log(entry.id, f"{entry.who} orders {entry.title} for {_some(entry.whom)}")

    def change(self, number: str, **changes: Any) -> None:
        """Note how it goes on; says nothing of it in the log."""
        with self._lock:
            if (entry := self._entries.get(number)) is not None:
                self._entries[number] = replace(entry, **changes)
        self._changed()

    def answer(self, number: str, device: str, answer: Answer, *, said: bool = True) -> None:
        """Note what a device said; ``said``: its last word, which the log has, too."""
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
        """A sentence about it."""
        with self._lock:
            entry = self._entries.get(number)
            if entry is not None and text not in entry.notes:
                self._entries[number] = replace(entry, notes=(*entry.notes, text)[-_MOST_NOTES:])
        self._log(number, text)

    def end(self, number: str, trouble: str = "") -> None:
        """Nothing more is waited for here."""
        self.change(number, waiting=False, trouble=trouble)
        if trouble:
            entry = self.entry(number)
            self._log(number, f"{trouble_of(sent=entry is not None and entry.sent)}: {trouble}")

    def _log(self, number: str, text: str) -> None:
        self._say(f"order {number}: {text}")
        self._changed()


def trouble_of(*, sent: bool) -> str:
    """What a trouble means for the order."""
    return "sent, and devices obey it; no more answers are heard" if sent else "not sent"


def _some(names: Iterable[str], most: int = 20) -> str:
    every = list(names)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more
