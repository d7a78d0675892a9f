"""The file of the segments: it has a fixed size, and survives a power cut at any moment.

There are more slots than places. Each segment's slot names its place. If several slots name the same place, the one
with the highest ``seq`` is current, and the others count as empty. So a segment is replaced by writing another one
*elsewhere*:

1. Write it into a free slot. After a power cut the slot is torn or whole. If it is torn, its CRC is wrong, and the
   place's former segment, which was not touched, is still the highest. If it is whole, it is the new one. Disks may
   write a slot's blocks in any order and omit any of them; that makes no difference, since the CRC covers all of them.
2. ``fdatasync``. Only after it has returned does the former slot become free. Step 1 of another segment overwrites it
   at the earliest, so the only durable copy of a place is never overwritten. A process that is killed between the steps
   leaves whole segments in the page cache that may not be on disk. Its successor cannot distinguish them from durable
   ones, so it calls ``fdatasync`` before it determines the free slots.
3. Free slots are used in turn, in the order in which they became free. So a concurrent reader can load the segments
   that it has noted for as long as possible.

No step needs an index or a journal. The file never grows: its whole space is allocated on creation. If writing or
``fdatasync`` fails, the batch stays pending and is written again, into the same slots. So a disk that lost pages and
reports it only once loses nothing.

Segments are collected and written together, with one ``fdatasync``. A power cut loses the pending segments. That does
no harm: they were as likely as any others to be replaced.
"""

import errno
import fcntl
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from edge_agent.errors import StoreError
from edge_agent.foreign.opening import open_file
from edge_agent.reservoir.slot_format import (
    MOST_HEAD_BYTES,
    Head,
    Label,
    pack_head,
    pack_slot,
    unpack_head,
    unpack_slot,
)
from edge_agent.state.durable import fsync_dir

FILE = "stretches.bin"
_LEFT_BYTES = 64 << 20
"""Disk space left for other uses."""


class Found(NamedTuple):
    """A valid segment in a file."""

    label: Label
    slot: int
    samples: memoryview


def read_head(descriptor: int) -> Head | None:
    """Return the head of an open file; None: it has no valid one."""
    return unpack_head(os.pread(descriptor, MOST_HEAD_BYTES, 0))


def read_slot(descriptor: int, head: Head, slot: int) -> Found | None:
    """Return the segment in a slot; None: it is empty or torn."""
    at = head.start + slot * head.slot_bytes
    content = unpack_slot(os.pread(descriptor, head.slot_bytes, at), head, head.digest)
    return Found(content[0], slot, content[1]) if content else None


def scan(descriptor: int, head: Head) -> Iterator[Found]:
    """Yield all valid segments, also superseded ones.

    Readahead is off: with it the kernel would cache the file in large folios, and count a whole folio as written
    whenever one of its slots is.
    """
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
    for slot in range(head.slots):
        if found := read_slot(descriptor, head, slot):
            yield found


class SlotFile:
    """The writer's side of a file: exactly one process has it.

    Attributes:
        written_bytes: bytes written to the disk since it was opened.
    """

    def __init__(self, folder: Path, head: Head) -> None:
        """Open the file in ``folder``, or create it.

        A file of another format, or with other places, is replaced by an empty one. The other fields of ``head`` apply
        only to a new file.

        Raises:
            StoreError: ``locked``: another process writes to it.
            OSError: disk error.
        """
        self.written_bytes = 0
        self._pending: dict[int, tuple[Label, bytes, int]] = {}
        self._descriptor, self.head = _open(folder, head)
        self._spare = self.head.slots - sum(self.head.places.values())
        self._current: dict[int, int] = {}
        """Place → its slot on disk."""
        self._free: deque[int] = deque()

    @property
    def pending(self) -> int:
        """Number of segments that are not on disk yet."""
        return len(self._pending)

    @property
    def full(self) -> bool:
        """Whether no more segments can be pending; the limit is the number of slots beyond the places."""
        return not self._free or len(self._pending) >= self._spare

    def resume(self) -> Iterator[Found]:
        """Yield the segments in the places, in the order of the slots; exhaust it before the first ``put``.

        It reads the file twice, so that memory is one segment: first to find the current slots, then to load them.

        Raises:
            OSError: disk error.
        """
        os.fdatasync(self._descriptor)  # the next reads may come from the page cache only
        highest: dict[int, tuple[int, int]] = {}
        age = dict.fromkeys(range(self.head.slots), -1)
        for label, slot, _ in scan(self._descriptor, self.head):
            age[slot] = label.seq
            highest[label.place] = max((label.seq, slot), highest.get(label.place, (-1, -1)))
        self._current = {place: slot for place, (_, slot) in highest.items()}
        taken = set(self._current.values())
        self._free = deque(sorted((slot for slot in age if slot not in taken), key=lambda slot: age[slot]))
        for slot in sorted(taken):
            if found := read_slot(self._descriptor, self.head, slot):
                yield found

    def put(self, label: Label, samples: bytes) -> None:
        """Add a segment to the next batch; must not be called when ``full``."""
        earlier = self._pending.pop(label.place, None)
        slot = earlier[2] if earlier else self._free.popleft()
        self._pending[label.place] = (label, samples, slot)

    def flush(self) -> int:
        """Write the pending segments durably, and return the number of bytes written.

        Raises:
            OSError: all of them are still pending.
        """
        written = 0
        for label, samples, slot in self._pending.values():
            data = pack_slot(label, samples, self.head.digest, self.head.slot_bytes)
            written += _write_all(self._descriptor, data, self.head.start + slot * self.head.slot_bytes)
        if self._pending:
            os.fdatasync(self._descriptor)
        for place, (_, _, slot) in self._pending.items():
            if (former := self._current.get(place)) is not None:
                self._free.append(former)
            self._current[place] = slot
        self._pending.clear()
        self.written_bytes += written
        return written

    def close(self) -> None:
        """Close the file; pending segments are lost. May be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _open(folder: Path, wanted: Head) -> tuple[int, Head]:
    path = folder / FILE
    try:
        descriptor = open_file(folder, FILE, flags=os.O_RDWR)
    except FileNotFoundError:
        return _make(folder, wanted)
    try:
        _lock(descriptor, path)
        there = read_head(descriptor)
        if there and (there.shape, there.places, there.slots) == (wanted.shape, wanted.places, wanted.slots):
            return descriptor, there
        path.unlink()  # first, as there may be no room for two; its segments are of no more use
        os.ftruncate(descriptor, 0)  # a reader that has it open would otherwise keep its space occupied
        made = _make(folder, wanted)
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return made


def _make(folder: Path, head: Head) -> tuple[int, Head]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = folder / f".{FILE}.tmp"
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        _lock(descriptor, temporary)
        packed = pack_head(head)
        size = len(packed) + head.slots * head.slot_bytes
        _check_room(descriptor, size)
        _write_all(descriptor, packed, 0)
        os.posix_fallocate(descriptor, 0, size)
        os.fsync(descriptor)
        temporary.rename(folder / FILE)
        fsync_dir(folder)
    except BaseException:
        os.close(descriptor)
        temporary.unlink(missing_ok=True)
        raise
    return descriptor, unpack_head(packed) or head  # as readers decode it: 50 and 50.0 give different digests


def _check_room(descriptor: int, size: int) -> None:
    """Raise ``OSError`` if the disk has too little space, before allocating any, which would starve other programs."""
    there = os.fstatvfs(descriptor)
    if there.f_bavail * there.f_frsize < size + _LEFT_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StoreError("locked", f"another process writes to {path}; stop it") from None


def _write_all(descriptor: int, data: bytes, at: int) -> int:
    """Write every byte: a full disk or a file size limit may accept a part first and then fail."""
    done = 0
    while done < len(data):
        done += os.pwrite(descriptor, memoryview(data)[done:], at + done)
    return done
