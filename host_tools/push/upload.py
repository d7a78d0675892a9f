"""Puts blobs on the broker, once for any number of devices, and resends chunks that the broker has lost.

Digest pages come first, then the chunks in order. Chunks that the broker already holds are not sent again: the pages
are read back, and a binary search over a few chunks finds the end of an earlier, interrupted upload, as chunks are sent
in order. Gaps that this search misses are filled on the devices' ``need``, as long as a host listens.

Every chunk is compared with the manifest's pages before it is sent, so a file that has changed is noticed here.
"""

import hashlib
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from edge_agent.errors import BrokerError, ConfigError
from edge_agent.wire.chunks import CHUNK_BYTES, DIGEST_BYTES, PAGE_DIGESTS, digest_pages
from edge_agent.wire.manifest import Blob
from edge_agent.wire.messages import Need
from host_tools.broker.command_line import command_line
from host_tools.broker.purge import held_blobs
from host_tools.broker.session import Session

Progress = Callable[[int, int], None]

_RESEND_AFTER_S = 10.0  # many devices may need a chunk at once; it is sent once
_PACKET_OVERHEAD_BYTES = 512


class Uploader:
    """The blobs of one push.

    Args:
        session: the connection.
        blobs: files with their entries in the manifest.
        progress: called with the bytes done and the total; skipped bytes count as done.
        max_broker_bytes: the most bytes that the broker may hold after the upload.
    """

    def __init__(
        self,
        session: Session,
        blobs: Sequence[tuple[Path, Blob]],
        progress: Progress | None = None,
        *,
        max_broker_bytes: int = 1 << 30,
    ) -> None:
        self._session = session
        self._files = {blob.sha256: _File(path, blob) for path, blob in blobs}
        self._progress = progress or (lambda _done, _total: None)
        self._max_broker_bytes = max_broker_bytes
        self._sent_at: dict[str, float] = {}

    def upload(self, *, everything: bool = False) -> int:
        """Publish the missing chunks, or with ``everything`` all of them. Returns the bytes of chunks sent.

        Raises:
            BrokerError: ``broker_full``, ``broker_refused`` (packets too small), ``broker_unreachable``.
            ConfigError: ``usage``: a file has changed since the manifest was made.
        """
        self._check_broker()
        total = sum(file.blob.size for file in self._files.values())
        done = sent = 0
        for file in self._files.values():
            first = 0 if everything else self._held(file)
            skipped = min(first * CHUNK_BYTES, file.blob.size)
            self._publish(file, range(file.blob.plan.pages), range(first, file.blob.plan.chunks), done + skipped, total)
            done += file.blob.size
            sent += file.blob.size - skipped
        self._progress(total, total)
        return sent

    def answer(self, need: Need) -> int:
        """Resend the chunks that a device misses; returns the number of messages."""
        file = self._files.get(need.sha256)
        if file is None:
            return 0
        plan, topics = file.blob.plan, self._session.topics
        pages = [page for page in _indices(need.pages, plan.pages) if self._is_due(topics.page(need.sha256, page))]
        chunks = [
            index for index in _indices(need.chunks, plan.chunks) if self._is_due(topics.chunk(need.sha256, index))
        ]
        self._publish(file, pages, chunks)
        return len(pages) + len(chunks)

    def _publish(
        self, file: "_File", pages: Sequence[int], chunks: Sequence[int], done: int | None = None, total: int = 0
    ) -> None:
        topics, sha256 = self._session.topics, file.blob.sha256

        def messages() -> Iterator[tuple[str, bytes]]:
            sent = done
            for page in pages:
                yield topics.page(sha256, page), file.pages[page]
            for index, payload in file.chunks(chunks):
                topic = topics.chunk(sha256, index)
                self._sent_at[topic] = time.monotonic()
                yield topic, payload
                if sent is not None:
                    sent += len(payload)
                    self._progress(sent, total)

        self._session.publish_all(messages())

    def _is_due(self, topic: str) -> bool:
        return time.monotonic() - self._sent_at.get(topic, float("-inf")) >= _RESEND_AFTER_S

    def _held(self, file: "_File") -> int:
        """The number of chunks at the beginning that need not be sent."""
        topics, sha256, plan = self._session.topics, file.blob.sha256, file.blob.plan
        pages = self._session.snapshot(topics.pages(sha256))
        if any(pages.get(topics.page(sha256, page)) != file.pages[page] for page in range(plan.pages)):
            return 0

        def lacks(index: int) -> bool:
            topic = topics.chunk(sha256, index)
            payload = self._session.snapshot(topic).get(topic, b"")
            return hashlib.sha256(payload).digest() != file.digest(index)

        if lacks(0):  # an interrupted purge clears from the first chunk on
            return 0
        if not lacks(plan.chunks - 1):
            return plan.chunks
        return bisect_left(range(plan.chunks), True, key=lacks)

    def _check_broker(self) -> None:
        largest = self._session.link.max_packet_bytes
        needed = CHUNK_BYTES + _PACKET_OVERHEAD_BYTES
        if 0 < largest < needed:
            raise BrokerError(
                "broker_refused",
                f"the broker takes packets of {largest} bytes; set its limit to {2 * CHUNK_BYTES} or more",
            )
        others = sum(blob.size_bytes for sha256, blob in held_blobs(self._session).items() if sha256 not in self._files)
        ours = sum(file.blob.size for file in self._files.values())
        if others + ours > self._max_broker_bytes:
            purge = command_line(self._session.settings, "host-tools", "purge")
            raise BrokerError(
                "broker_full",
                f"the broker holds {others / 1e6:.3g} MB of blobs; with these {ours / 1e6:.3g} MB it would exceed "
                f"--max-broker-bytes ({self._max_broker_bytes / 1e6:.3g} MB): run {purge}, or raise it",
            )


class _File:
    """A file that matches its blob."""

    def __init__(self, path: Path, blob: Blob) -> None:
        self.path = path
        self.blob = blob
        self.pages = digest_pages(payload for _, payload in self._read(range(blob.plan.chunks)))
        if [hashlib.sha256(page).hexdigest() for page in self.pages] != blob.pages:
            raise self._changed()

    def digest(self, index: int) -> bytes:
        """SHA-256 of chunk ``index``."""
        page, at = divmod(index, PAGE_DIGESTS)
        return self.pages[page][at * DIGEST_BYTES : (at + 1) * DIGEST_BYTES]

    def chunks(self, indices: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        """Each chunk, checked; raises ``ConfigError`` (usage) if the file has changed."""
        for index, payload in self._read(indices):
            if hashlib.sha256(payload).digest() != self.digest(index):
                raise self._changed()
            yield index, payload

    def _read(self, indices: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        try:
            with self.path.open("rb") as file:
                for index in indices:
                    file.seek(index * CHUNK_BYTES)
                    yield index, file.read(CHUNK_BYTES)
        except OSError as error:
            raise ConfigError("usage", f"{self.path}: {error.strerror}") from None

    def _changed(self) -> ConfigError:
        return ConfigError("usage", f"{self.path} has changed since the push began; push it again")


def _indices(ranges: Sequence[tuple[int, int]], count: int) -> list[int]:
    """The indices below ``count`` in a device's inclusive ranges, each once. The ranges are not trusted."""
    wanted = bytearray(count)
    for first, last in ranges:
        some = range(max(first, 0), min(last + 1, count))
        wanted[some.start : some.stop] = b"\1" * len(some)
    return [index for index in range(count) if wanted[index]]
