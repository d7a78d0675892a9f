"""Events on their way to the broker: stored on disk before they are published, deleted once the broker has them.

    state_dir/events/         0700
      1796050001123.json      a waiting event: one line about the file, one line with the message
      1796050000456.sent      the newest delivered event, kept for its number and the write budget

There is one file per event, so a damaged disk loses single events. A stored event's number is the milliseconds since
the epoch, or the previous number plus one, whichever is greater. When the day's write budget is used up, events stay in
memory and their numbers count up by one. A new process starts far above the newest file's number, so it does not reuse
the numbers of the previous process's unstored events. Numbers therefore rise whatever the clock does, over crashes and
on a replaced disk. Gaps in them mean nothing. Only a full disk combined with a clock that goes back could repeat one.

The newest file stores the rest of the day's write budget, so restarts do not increase it. It also stores the number of
lost events that have not been reported.
"""

import logging
import zlib
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edge_agent.foreign.opening import read_file
from edge_agent.state.durable import write_durably
from edge_agent.strict import UNDECODABLE, why
from edge_agent.telemetry.write_budget import WriteBudget

log = logging.getLogger(__name__)

MOST = 250
"""Waiting events. With one delivered event, and one disk block for each, they take less than a mebibyte."""
MOST_BYTES = 4096 - 256
"""Size limit of a message, so that a file takes one block."""
_RESERVE = 10_000
"""Numbers that a process skips above the newest file's: more than the events between two writes. The milliseconds
skipped for all of a day's writes are less than a day, so the clock catches up."""
_MOST_LOST = 10**6
_WAITING, _DELIVERED = ".json", ".sent"
_MOST_DIGITS = 15
"""Digits of a number that every JSON reader represents exactly."""


class _Head(msgspec.Struct, frozen=True):
    """The first line of a file."""

    crc: int
    """CRC-32 of the second line."""
    writes: float
    """The write budget that was left after this write."""
    at: float
    """Time of the write, in seconds since the epoch."""
    lost: int = 0
    """Dropped events that had not been reported."""


@dataclass(slots=True)
class Waiting:
    """An event that the broker has not acknowledged yet.

    Attributes:
        stored: whether the event is on disk.
        under_way: whether the event is published and not yet answered by the broker.
    """

    number: int
    payload: bytes
    stored: bool
    under_way: bool = False


class Outbox:
    """Used from the consumer only.

    Attributes:
        waiting: events in the order of their numbers.
        lost: dropped events that have not been reported.
    """

    def __init__(self, folder: Path, now: Callable[[], float], budget: WriteBudget | None = None) -> None:
        """``now``: the daemon's time, in seconds since the epoch."""
        self.waiting: deque[Waiting] = deque()
        self.lost = 0
        self._folder = folder
        self._now = now
        self._budget = budget or WriteBudget()
        self._on_disk = 0
        """The highest number among the stored events."""
        self._last = 0
        self._delivered: Path | None = None
        self._refused = False
        """Whether the last write failed; the failure was logged."""

    def load(self) -> None:
        """Read the stored events; log and delete unreadable ones. No error here prevents a start."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            found = sorted((number, path) for path in self._folder.iterdir() if (number := _number(path)) is not None)
        except OSError as error:
            log.error("events are not kept on the disk: %s: %s", self._folder, why(error))  # noqa: TRY400  # it says all
            found = []
        for number, path in found:
            self._on_disk = number
            self._load(number, path, newest=number == found[-1][0])
        self._last = self._on_disk + _RESERVE if self._on_disk else 0
        while len(self.waiting) > MOST:
            self._drop()

    def next_number(self) -> int:
        """The number for the next event; the caller must then add that event."""
        self._last = max(self._last, self._on_disk) + 1
        if self._budget.allows():
            self._last = max(self._last, int(self._now() * 1000))
        return self._last

    def add(self, number: int, payload: bytes, *, at_any_cost: bool = False) -> None:
        """Add an event: on disk if possible, otherwise in memory.

        A full outbox drops its oldest event, but never a stored event for one in memory. ``at_any_cost`` stores the
        event even when the day's write budget is used up.
        """
        full = len(self.waiting) >= MOST
        may_store = self._budget.allows() or at_any_cost
        if full and may_store:  # before the write, as a dropped event also frees disk space
            self._drop()
        stored = may_store and self._store(number, payload)
        self.waiting.append(Waiting(number, payload, stored))
        if len(self.waiting) > MOST:
            self._drop(from_memory=True)

    def deliver(self, number: int) -> None:
        """Remove an event that the broker has acknowledged."""
        event = next((event for event in self.waiting if event.number == number), None)
        if event is None:  # dropped before the answer arrived
            return
        self.waiting.remove(event)
        if event.stored:
            self._forget(number)

    def lose_memory(self) -> None:
        """Count the events in memory as lost: the process ends."""
        self.lost += sum(not event.stored for event in self.waiting)
        self.waiting = deque(event for event in self.waiting if event.stored)

    def _load(self, number: int, path: Path, *, newest: bool) -> None:
        waits = path.suffix == _WAITING
        try:
            head, payload = _decode(read_file(self._folder, path.name, most_bytes=2 * MOST_BYTES))
        except (OSError, ValueError, *UNDECODABLE) as error:
            if waits:
                self.lost += 1
                text = "an event is lost: %s: %s; see how the device's disk does"
                log.error(text, path, why(error))  # noqa: TRY400  # the sentence says it all
            waits = False
        else:
            self._budget.resume(head.writes, head.at, self._now())
            if newest:
                self.lost += min(max(head.lost, 0), _MOST_LOST)
        if waits:
            self.waiting.append(Waiting(number, payload, stored=True))
        else:
            self._take_away(path, newest=newest)

    def _store(self, number: int, payload: bytes) -> bool:
        path = self._folder / f"{number}{_WAITING}"
        paid = self._budget.take()
        head = _Head(zlib.crc32(payload), self._budget.left, self._now(), self.lost)
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            write_durably(path, msgspec.json.encode(head) + b"\n" + payload)
        except OSError as error:
            if paid:
                self._budget.give_back()
            if not self._refused:
                self._refused = True
                text = "event %d is not on the disk: %s: %s; it goes out from memory; free space in state_dir"
                log.error(text, number, path, why(error))  # noqa: TRY400  # the sentence says it all
            return False
        self._refused = False
        self._on_disk = number
        if self._delivered is not None:  # the new file holds the number and the budget now
            with suppress(OSError):
                self._delivered.unlink(missing_ok=True)
            self._delivered = None
        return True

    def _forget(self, number: int) -> None:
        self._take_away(self._folder / f"{number}{_WAITING}", newest=number == self._on_disk)

    def _take_away(self, path: Path, *, newest: bool) -> None:
        """Remove a file, or mark the newest as delivered. Not synced: a power cut may cause a second publish."""
        with suppress(OSError):  # a file that cannot be removed is published again at the next start
            if newest:
                self._delivered = path.rename(path.with_suffix(_DELIVERED))
            else:
                path.unlink(missing_ok=True)

    def _drop(self, *, from_memory: bool = False) -> None:
        """Drop the oldest event that is not in flight; with ``from_memory`` only one that is not on disk."""
        free = (event for event in self.waiting if not (event.under_way or (from_memory and event.stored)))
        event = next(free, self.waiting[0])
        if not self.lost:
            log.warning("%d events wait for the broker: each new one replaces the oldest; see why it takes none", MOST)
        self.waiting.remove(event)
        self.lost += 1
        if event.stored:
            self._forget(event.number)


def _decode(data: bytes) -> tuple[_Head, bytes]:
    """A file's two lines; raises ``ValueError``, or a decoding error, if the file is damaged."""
    first, _, payload = data.partition(b"\n")
    head = msgspec.json.decode(first, type=_Head)
    if zlib.crc32(payload) != head.crc:
        raise ValueError("the file is damaged")
    return head, payload


def _number(path: Path) -> int | None:
    """The number in an event file's name; None if the file is not an event."""
    if path.name.startswith("."):  # a write that a power cut has interrupted
        with suppress(OSError):
            path.unlink()
        return None
    name = path.stem
    ours = path.suffix in (_WAITING, _DELIVERED) and name.isdecimal() and name.isascii() and len(name) <= _MOST_DIGITS
    return int(name) if ours and name[0] != "0" else None
