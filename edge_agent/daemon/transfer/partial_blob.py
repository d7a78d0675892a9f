"""A blob in transfer: its chunks in a sparse file, and files beside it that mark the chunks on disk.

    <sha256>.part     the chunks, each at its offset
    <sha256>.bits     one byte per chunk, 1: the chunk is on disk
    <sha256>.pages    digest pages, each at its offset
    <sha256>          the whole blob, once its SHA-256 was verified

Invariants:
    * A mark is set on disk only after the bytes that it covers were fsynced. A crash or power cut loses what arrived
      since the last ``flush``, whose moment the owner chooses, and never leaves a false mark.
    * Only verified data is stored: a page is checked against the manifest, a chunk against its page.
    * ``<sha256>`` appears by rename, after the whole file was read back and hashed.

No thread, no clock, no network.
"""

import hashlib
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edge_agent.advice.space import lacks_space
from edge_agent.errors import LimitError, TransferError
from edge_agent.foreign.opening import read_file
from edge_agent.state.durable import fsync_dir
from edge_agent.wire.chunks import CHUNK_BYTES, DIGEST_BYTES, PAGE_DIGESTS, check_chunk, check_page
from edge_agent.wire.manifest import Blob

RESERVE_BYTES = 32 * 1024 * 1024  # left to the rest of the system
_READ_BYTES = 1024 * 1024
_PAGE_BYTES = PAGE_DIGESTS * DIGEST_BYTES


class PartialBlob:
    """The stored part of ``blob`` in ``folder``, including what an earlier process stored.

    Attributes:
        path: path of the complete blob, whether or not it exists yet.
        received: number of stored chunks, including those not yet flushed.

    Raises:
        LimitError: ``no_space``; the stored part is kept.
    """

    def __init__(self, folder: Path, blob: Blob, *, reserve_bytes: int = RESERVE_BYTES) -> None:
        self.blob = blob
        self.plan = blob.plan
        self.path = folder / blob.sha256
        self._part = folder / f"{blob.sha256}.part"
        self._bits = folder / f"{blob.sha256}.bits"
        self._pages = folder / f"{blob.sha256}.pages"
        self._have = bytearray(self.plan.chunks)
        self._digests: list[bytes] = [b""] * self.plan.chunks
        self._missing_pages = set(range(self.plan.pages))
        self._unflushed = False
        self._fd = -1
        if self.complete:
            self._delete(self._part, self._bits, self._pages)
            self._have[:] = b"\1" * self.plan.chunks
            self._missing_pages.clear()
        else:
            self._load()
            self._check_space(reserve_bytes)
        self.received = sum(self._have)

    @property
    def complete(self) -> bool:
        """Whether the whole, verified blob is stored; a file of another size does not count."""
        try:
            found = self.path.lstat()
        except OSError:
            return False
        return stat.S_ISREG(found.st_mode) and found.st_size == self.blob.size

    @property
    def received_bytes(self) -> int:
        """Stored bytes of the blob."""
        last = self.plan.chunks - 1
        return self.received * CHUNK_BYTES - (CHUNK_BYTES - self.plan.chunk_size(last)) * self._have[last]

    def has(self, index: int) -> bool:
        """Whether chunk ``index`` is stored."""
        return bool(self._have[index])

    def missing(self, within: Iterable[int] | None = None) -> list[int]:
        """The missing chunks among those in ``within`` (None: all), in order."""
        return [index for index in (range(self.plan.chunks) if within is None else within) if not self._have[index]]

    def next_missing(self, start: int) -> int | None:
        """The first missing chunk from ``start`` on, or else from the beginning; None if all are stored."""
        index = self._have.find(0, start)
        if index < 0:
            index = self._have.find(0)
        return None if index < 0 else index

    def missing_pages(self) -> list[int]:
        """The missing digest pages."""
        return sorted(self._missing_pages)

    def add_page(self, page: int, payload: bytes) -> bool:
        """Store a digest page; False if it was stored before.

        Raises:
            TransferError: it does not match the manifest.
            LimitError: ``no_space``.
        """
        if page not in self._missing_pages:
            if page >= self.plan.pages:
                raise TransferError("size_mismatch", f"digest page {page} of a blob that has {self.plan.pages}")
            return False
        digests = check_page(self.plan, page, payload, self.blob.pages[page])
        with _writing(self._pages):
            fd = _open(self._pages)
            try:
                _write_all(fd, payload, page * _PAGE_BYTES)
            finally:
                os.close(fd)
        self._take_page(page, digests)
        return True

    def add_chunk(self, index: int, payload: bytes) -> bool:
        """Store a chunk; False if it was stored before, or cannot be checked yet because its page is missing.

        Raises:
            TransferError: it does not match its page.
            LimitError: ``no_space``.
        """
        if index < self.plan.chunks and (self._have[index] or not self._digests[index]):
            return False
        check_chunk(self.plan, index, payload, self._digests)
        with _writing(self._part):
            _write_all(self._open(), payload, index * CHUNK_BYTES)
        self._have[index] = 1
        self.received += 1
        self._unflushed = True
        return True

    def flush(self) -> None:
        """Make every stored chunk survive a power cut."""
        if not self._unflushed:
            return
        try:
            with _writing(self._part):
                os.fdatasync(self._fd)
        except LimitError:
            # The kernel may have dropped the unsynced pages, so only the marks on disk are reliable.
            self._load_marks()
            self.received = sum(self._have)
            self._unflushed = False
            raise
        with _writing(self._bits):
            new = not self._bits.exists()
            fd = _open(self._bits)
            try:
                # In place: marks only change from 0 to 1, so a torn write does no harm.
                _write_all(fd, self._have, 0)
                os.fdatasync(fd)
            finally:
                os.close(fd)
            if new:
                fsync_dir(self._bits.parent)
        self._unflushed = False

    def finish(self) -> Path:
        """Read the blob back, compare its SHA-256 and rename it; raises as these two steps do."""
        if self.complete:
            return self.path
        self.flush()
        return self.name_it(self.read_back())

    def read_back(self) -> str:
        """The SHA-256 of the file on disk, synced. May run on any thread once all chunks are stored and flushed.

        Raises:
            LimitError: ``no_space``, for any error of the disk.
        """
        digest = hashlib.sha256()
        with _writing(self._part), self._part.open("rb") as file:
            while block := file.read(_READ_BYTES):
                digest.update(block)
            os.fsync(file.fileno())
        return digest.hexdigest()

    def name_it(self, digest: str) -> Path:
        """Rename the blob to its final name, if ``digest`` (of the read back file) is right.

        Raises:
            TransferError: ``hash_mismatch``; the part is deleted, as the wrong bytes cannot be located.
            LimitError: ``no_space``.
        """
        self.close()
        if digest != self.blob.sha256:
            self.discard()
            raise TransferError("hash_mismatch", f"the blob has SHA-256 {digest}, not {self.blob.sha256}")
        with _writing(self.path):
            self._part.rename(self.path)
            fsync_dir(self.path.parent)
        self._delete(self._bits, self._pages)
        return self.path

    def close(self) -> None:
        """Flush, and close the file descriptor; the object remains usable."""
        try:
            self.flush()
        finally:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def discard(self) -> None:
        """Delete the stored part of an incomplete blob."""
        self._unflushed = False
        self.close()
        self._delete(self._part, self._bits, self._pages)
        self._have[:] = bytes(self.plan.chunks)
        self.received = 0
        self._digests = [b""] * self.plan.chunks
        self._missing_pages = set(range(self.plan.pages))

    # -- data of an earlier process

    def _load(self) -> None:
        with suppress(OSError):
            data = read_file(self._pages.parent, self._pages.name, most_bytes=self.plan.pages * _PAGE_BYTES)
            for page in range(self.plan.pages):
                payload = data[page * _PAGE_BYTES : (page + 1) * _PAGE_BYTES]
                try:
                    self._take_page(page, check_page(self.plan, page, payload, self.blob.pages[page]))
                except TransferError:
                    continue  # missing or incomplete: fetched again
        self._load_marks()

    def _load_marks(self) -> None:
        self._have[:] = bytes(self.plan.chunks)
        try:
            marks = read_file(self._bits.parent, self._bits.name, most_bytes=self.plan.chunks)
            whole = self._part.lstat().st_size == self.blob.size
        except OSError:  # missing or not a regular file: all chunks are fetched again
            return
        if whole and len(marks) == self.plan.chunks and not marks.strip(b"\0\1"):
            self._have[:] = marks

    def _take_page(self, page: int, digests: list[bytes]) -> None:
        chunks = self.plan.page_range(page)
        self._digests[chunks.start : chunks.stop] = digests
        self._missing_pages.discard(page)

    # -- disk

    def _check_space(self, reserve_bytes: int) -> None:
        """Raise before the first byte is written if the whole blob would not fit."""
        free = shutil.disk_usage(self.path.parent).free
        here = self._part.stat().st_blocks * 512 if self._part.exists() else 0
        needed = self.blob.size - here + reserve_bytes
        if needed > free:
            raise LimitError("no_space", lacks_space("the blob", needed, free, self.path.parent))

    def _open(self) -> int:
        if self._fd < 0:
            self._fd = _open(self._part)
            os.ftruncate(self._fd, self.blob.size)
        return self._fd

    def _delete(self, *paths: Path) -> None:
        for path in paths:
            path.unlink(missing_ok=True)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Convert disk errors into ``LimitError`` with a sentence for the operator."""
    try:
        yield
    except OSError as error:
        text = f"cannot write {path}: {error.strerror}; free space in state_dir"
        raise LimitError("no_space", text) from error


def _open(path: Path) -> int:
    """A file descriptor for writing parts; the file is created if missing, and links are not followed."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _write_all(fd: int, data: bytes | bytearray, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written
