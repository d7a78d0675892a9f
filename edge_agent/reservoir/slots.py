"""The file that holds the stretches: of fixed size, and whole again after a power cut at any moment.

There are more slots than places. Each stretch says in its slot which place it has; of several that say the same, the
one with the highest ``seq`` is there, and the others are as good as empty. So a stretch is replaced by writing another
one *elsewhere*:

1. Write it into a free slot. Power cut: the slot is torn or whole. Torn, its CRC is wrong, and the place's former
   stretch, which nobody touched, is still the highest. Whole, it is the new one. Disks may write a slot's blocks in any
   order and leave out any of them; that makes no difference, as the CRC is over all of them.
2. ``fdatasync``. Only when it has returned, the former slot becomes free. It is written over in step 1 of another
   stretch at the earliest, so what is overwritten is never the only durable copy of a place. A process that is killed
   between the steps leaves whole stretches in the page cache that no disk has; its successor cannot tell them from
   durable ones, so it calls ``fdatasync`` before it looks which slots are free.
3. Free slots are used in turn, the one that became free first being the first: whoever reads meanwhile finds what it
   has seen for as long as possible.

No step needs an index or a journal. The file never grows: space for all of it is taken when it is made. If writing or
``fdatasync`` fails, the batch stays pending and is written again, into the same slots, so a disk that lost pages and
reports it once loses nothing.

Stretches are collected and written together, with one ``fdatasync``. What is pending is lost in a power cut: it was as
likely as any other to be replaced.
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
"""For everything else that the disk is for."""


class Found(NamedTuple):
    """A sound stretch in a file."""

    label: Label
    slot: int
    samples: memoryview


def read_head(descriptor: int) -> Head | None:
    """The head of an open file; None: it has none that is sound."""
    return unpack_head(os.pread(descriptor, MOST_HEAD_BYTES, 0))


def read_slot(descriptor: int, head: Head, slot: int) -> Found | None:
    """What is in a slot; None: nothing, or it is torn."""
    at = head.start + slot * head.slot_bytes
    content = unpack_slot(os.pread(descriptor, head.slot_bytes, at), head, head.digest)
    return Found(content[0], slot, content[1]) if content else None


def scan(descriptor: int, head: Head) -> Iterator[Found]:
    """All sound stretches, superseded ones too, one at a time.

    Without readahead: with it the kernel would keep the file in large folios, and count a whole one as written whenever
    a slot in it is.
    """
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
    for slot in range(head.slots):
        if found := read_slot(descriptor, head, slot):
            yield found


class SlotFile:
    """The writer's side of a file: exactly one process has it.

    Attributes:
        written_bytes: that were handed to the disk since it was opened.
    """

    def __init__(self, folder: Path, head: Head) -> None:
        """Open the file in ``folder``, or make it.

        A file of another shape, or with other places, is replaced by an empty one; ``head`` says the rest only of one
        that is made.

        Raises:
            StoreError: ``locked``, another process writes.
            OSError: the disk refuses.
        """
        self.written_bytes = 0
        self._pending: dict[int, tuple[Label, bytes, int]] = {}
        self._descriptor, self.head = _open(folder, head)
        self._spare = self.head.slots - sum(self.head.places.values())
        self._current: dict[int, int] = {}
        """Place → the slot that holds it on disk."""
        self._free: deque[int] = deque()

    @property
    def pending(self) -> int:
        """Stretches that are not on disk yet."""
        return len(self._pending)

    @property
    def full(self) -> bool:
        """Whether no more can be pending: as many as there are slots beyond the places, and so much memory it takes."""
        return not self._free or len(self._pending) >= self._spare

    def resume(self) -> Iterator[Found]:
        """What is in the places, in the order of the slots; to be exhausted before anything is put.

        Reads the file twice, so that memory is one stretch: first who is highest, then what it holds.

        Raises:
            OSError: the disk refuses.
        """
        os.fdatasync(self._descriptor)  # what is read now may be in the page cache alone
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
        """Have a stretch written with the next batch; not to be called when ``full``."""
        earlier = self._pending.pop(label.place, None)
        slot = earlier[2] if earlier else self._free.popleft()
        self._pending[label.place] = (label, samples, slot)

    def flush(self) -> int:
        """Write what is pending; when this returns, it is on disk. Returns the bytes written.

        Raises:
            OSError: all of it is still pending.
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
        """Let go of the file; what is pending is lost. May be called twice."""
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
        path.unlink()  # first, as there may be no room for two; what it holds fits nothing any more
        os.ftruncate(descriptor, 0)  # as long as somebody has it open it would go on taking room
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
    return descriptor, unpack_head(packed) or head  # as others read it: 50 and 50.0 have another digest


def _check_room(descriptor: int, size: int) -> None:
    """Raise ``OSError`` before a byte is taken of a disk that has too few: taking them would starve others first."""
    there = os.fstatvfs(descriptor)
    if there.f_bavail * there.f_frsize < size + _LEFT_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StoreError("locked", f"another process writes {path}; stop it") from None


def _write_all(descriptor: int, data: bytes, at: int) -> int:
    """Write every byte: a disk that fills up, or a file limit, may take a part and then refuse."""
    done = 0
    while done < len(data):
        done += os.pwrite(descriptor, memoryview(data)[done:], at + done)
    return done
