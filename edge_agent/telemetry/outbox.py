"""Events on their way to the broker: on the disk before they are published, gone once the broker has them.

    state_dir/events/         0700
      1796050001123.json      an event that waits: one line about the file, one that is the message
      1796050000456.sent      the newest of those that are delivered, kept for its number and for the budget

One file an event, so what a broken disk takes is that one. The number of an event that may be written is the
milliseconds since the epoch, or one more than the number before, whichever is more. Those that stay in memory, as the
day's writes are used up, are counted on one by one; a process begins so far above the newest file's number that it does
not meet those of the process before. So numbers rise whatever the clock does, over crashes and on a disk that was made
anew; gaps in them mean nothing. Only a full disk and a clock that goes back could together bring one again.

The newest file says what is left of the day's writes, so a daemon that is started again and again has no more of them,
and how many events were lost that nobody was told of.
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
"""Events that wait. With one more that is delivered, and a block of the disk each, that is less than a mebibyte."""
MOST_BYTES = 4096 - 256
"""Of a message, so that a file takes one block."""
_RESERVE = 10_000
"""Numbers that a process leaves out above the newest file's: more than it has events between two writes. So many
milliseconds for each of a day's writes are less than a day, so the clock keeps up."""
_MOST_LOST = 10**6
_WAITING, _DELIVERED = ".json", ".sent"
_MOST_DIGITS = 15
"""Of a number: JSON's readers take it for the same."""


class _Head(msgspec.Struct, frozen=True):
    """The first line of a file."""

    crc: int
    """CRC-32 of the second line."""
    writes: float
    """What was left of the day's writes behind this one."""
    at: float
    """When, in seconds since the epoch."""
    lost: int = 0
    """Events that were dropped and that nobody had been told of."""


@dataclass(slots=True)
class Waiting:
    """An event that the broker does not have yet.

    Attributes:
        stored: whether it is on the disk.
        under_way: it was published, and the broker has not answered.
    """

    number: int
    payload: bytes
    stored: bool
    under_way: bool = False


class Outbox:
    """Used from the consumer only.

    Attributes:
        waiting: in the order of their numbers.
        lost: events that were dropped and that nobody was told of yet.
    """

    def __init__(self, folder: Path, now: Callable[[], float], budget: WriteBudget | None = None) -> None:
        """``now``: the daemon's time, in seconds since the epoch."""
        self.waiting: deque[Waiting] = deque()
        self.lost = 0
        self._folder = folder
        self._now = now
        self._budget = budget or WriteBudget()
        self._on_disk = 0
        """The newest number that a file has."""
        self._last = 0
        self._delivered: Path | None = None
        self._refused = False
        """The disk did not take the last one, which was said."""

    def load(self) -> None:
        """Read what is there; what cannot be read is said, and gone. Nothing that it finds prevents a start."""
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
        """The number of the next event, which then must be added."""
        self._last = max(self._last, self._on_disk) + 1
        if self._budget.allows():
            self._last = max(self._last, int(self._now() * 1000))
        return self._last

    def add(self, number: int, payload: bytes, *, at_any_cost: bool = False) -> None:
        """Take an event: on the disk if that is possible, else into memory.

        One more than there is room for goes: the oldest, but none that is on the disk for one that is not.
        ``at_any_cost``: also where the day's writes are used up.
        """
        full = len(self.waiting) >= MOST
        may_store = self._budget.allows() or at_any_cost
        if full and may_store:  # first, as that makes room on the disk, too
            self._drop()
        stored = may_store and self._store(number, payload)
        self.waiting.append(Waiting(number, payload, stored))
        if len(self.waiting) > MOST:
            self._drop(from_memory=True)

    def deliver(self, number: int) -> None:
        """The broker has it."""
        event = next((event for event in self.waiting if event.number == number), None)
        if event is None:  # it was dropped meanwhile
            return
        self.waiting.remove(event)
        if event.stored:
            self._forget(number)

    def lose_memory(self) -> None:
        """The process ends: what is not on the disk is lost."""
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
        if self._delivered is not None:  # its number is not needed any more
            with suppress(OSError):
                self._delivered.unlink(missing_ok=True)
            self._delivered = None
        return True

    def _forget(self, number: int) -> None:
        self._take_away(self._folder / f"{number}{_WAITING}", newest=number == self._on_disk)

    def _take_away(self, path: Path, *, newest: bool) -> None:
        """Remove a file, but for the newest one. Not synced: after a power cut the event may be published once more."""
        with suppress(OSError):  # what cannot be removed is published again at the next start
            if newest:
                self._delivered = path.rename(path.with_suffix(_DELIVERED))
            else:
                path.unlink(missing_ok=True)

    def _drop(self, *, from_memory: bool = False) -> None:
        """Make room: the oldest goes that is not under way; ``from_memory``: of those that are not on the disk."""
        free = (event for event in self.waiting if not (event.under_way or (from_memory and event.stored)))
        event = next(free, self.waiting[0])
        if not self.lost:
            log.warning("%d events wait for the broker: of more the oldest are lost; see why it takes none", MOST)
        self.waiting.remove(event)
        self.lost += 1
        if event.stored:
            self._forget(event.number)


def _decode(data: bytes) -> tuple[_Head, bytes]:
    """A file's two lines; raises ``ValueError``, or what undecodable bytes raise, if they are not what was written."""
    first, _, payload = data.partition(b"\n")
    head = msgspec.json.decode(first, type=_Head)
    if zlib.crc32(payload) != head.crc:
        raise ValueError("it is not what was written")
    return head, payload


def _number(path: Path) -> int | None:
    """The number of an event's file; None: it is none."""
    if path.name.startswith("."):  # a write that a power cut has ended
        with suppress(OSError):
            path.unlink()
        return None
    name = path.stem
    ours = path.suffix in (_WAITING, _DELIVERED) and name.isdecimal() and name.isascii() and len(name) <= _MOST_DIGITS
    return int(name) if ours and name[0] != "0" else None
