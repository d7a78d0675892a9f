"""The running transfers by content address: jobs that need the same blob share one transfer.

The blobs of one job are fetched one after another: two transfers at once measured no faster, and a labelled set is
useless before its model.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from edge_agent.daemon.background import work_in_background
from edge_agent.daemon.events import WorkEnded
from edge_agent.daemon.transfer.partial_blob import PartialBlob
from edge_agent.daemon.transfer.receiver import Receiver
from edge_agent.errors import EdgeAgentError, WireError
from edge_agent.mqtt import Incoming, Link
from edge_agent.wire.manifest import Blob
from edge_agent.wire.messages import Need
from edge_agent.wire.topics import ChunkTopic, PageTopic, Topics


@dataclass(frozen=True, slots=True)
class TransferState:
    """The state of the transfer of a job's blobs; with ``error`` set, one of them has failed."""

    complete: bool
    fraction: float
    detail: str
    error: EdgeAgentError | None = None


class Transfers:
    """All running transfers. Used from the consumer only."""

    def __init__(
        self,
        folder: Path,
        link: Link,
        topics: Topics,
        need: Callable[[Need], None],
        device: str,
        put: Callable[[WorkEnded], None],
    ) -> None:
        self._folder = folder
        self._link = link
        self._topics = topics
        self._need = need
        self._device = device
        self._put = put
        self._receivers: dict[str, Receiver] = {}
        self._errors: dict[str, EdgeAgentError] = {}

    def start(self, blobs: Sequence[Blob]) -> TransferState:
        """Fetch ``blobs`` in this order, resuming partial ones; an earlier error is cleared."""
        for blob in blobs:
            self._errors.pop(blob.sha256, None)
        return self.state(blobs)

    def state(self, blobs: Sequence[Blob]) -> TransferState:
        """The state of the transfer of ``blobs``; starts the next one when the previous one is complete."""
        total = sum(blob.size for blob in blobs)
        here = 0.0
        for number, blob in enumerate(blobs, 1):
            if blob.sha256 not in self._errors and blob.sha256 not in self._receivers:
                self._begin(blob)
            if error := self._errors.get(blob.sha256):
                return TransferState(complete=False, fraction=0.0, detail="", error=error)
            receiver = self._receivers[blob.sha256]
            if receiver.path is None:
                detail = receiver.detail(time.monotonic())
                which = f"file {number} of {len(blobs)}: " if len(blobs) > 1 else ""
                fraction = (here + receiver.fraction * blob.size) / total
                return TransferState(complete=False, fraction=fraction, detail=which + detail)
            here += blob.size
        return TransferState(complete=True, fraction=1.0, detail="")

    def _begin(self, blob: Blob) -> None:
        now = time.monotonic()
        try:
            on_disk = PartialBlob(self._folder, blob)
        except EdgeAgentError as error:  # no_space, before the first byte
            self._errors[blob.sha256] = error
            return
        later = partial(self._later, blob.sha256)
        receiver = Receiver(on_disk, self._topics, self._link, self._need, device=self._device, now=now, later=later)
        self._receivers[blob.sha256] = receiver
        if self._link.connected:
            self._guard(blob.sha256, partial(receiver.connected, now))

    def message(self, message: Incoming) -> bool:
        """Handle a message if it is part of a blob; otherwise return False."""
        try:
            topic = self._topics.parse(message.topic)
        except WireError:
            return False
        if not isinstance(topic, ChunkTopic | PageTopic):
            return False
        receiver = self._receivers.get(topic.sha256)
        if receiver is not None:
            self._guard(topic.sha256, partial(receiver.take, topic, message.payload, time.monotonic()))
        return True

    def connected(self) -> None:
        """Request missing data on a new connection."""
        for digest, receiver in list(self._receivers.items()):
            self._guard(digest, partial(receiver.connected, time.monotonic()))

    def disconnected(self) -> None:
        """Flush all transfers: the connection is down."""
        for digest, receiver in list(self._receivers.items()):
            self._guard(digest, receiver.disconnected)

    def tick(self) -> None:
        """Do what is due in each transfer."""
        for digest, receiver in list(self._receivers.items()):
            self._guard(digest, partial(receiver.tick, time.monotonic()))

    def stop_unwanted(self, wanted: Collection[str]) -> None:
        """Stop every transfer that no job needs any more."""
        for digest in self._receivers.keys() - set(wanted):
            self._receivers.pop(digest).stop()
        for digest in self._errors.keys() - set(wanted):
            del self._errors[digest]

    def _later(self, digest: str, read: Callable[[], str], then: Callable[[str], None]) -> None:
        """Read a whole blob back in the background, as this takes minutes on a slow card."""
        receiver = self._receivers.get(digest)

        def digest_or_error() -> str | EdgeAgentError:
            try:
                return read()
            except EdgeAgentError as error:
                return error

        def go_on(result: str | EdgeAgentError) -> None:
            if receiver is None or self._receivers.get(digest) is not receiver:
                return  # no job needs it any more
            if isinstance(result, EdgeAgentError):
                self._errors[digest] = result
                self._receivers.pop(digest).stop()
            else:
                self._guard(digest, partial(then, result))

        work_in_background(digest_or_error, self._put, lambda result: WorkEnded(partial(go_on, result)))

    def _guard(self, digest: str, act: Callable[[], None]) -> None:
        """Stop a transfer that raises an error, which :meth:`state` then reports."""
        try:
            act()
        except EdgeAgentError as error:
            self._errors[digest] = error
            self._receivers.pop(digest).stop()
