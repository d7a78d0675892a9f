"""A device that only receives, a host that only uploads, and blobs for them. Also a script: a device to be killed."""

import hashlib
import queue
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from edge_agent.daemon.transfer.partial_blob import PartialBlob
from edge_agent.daemon.transfer.receiver import Receiver
from edge_agent.errors import WireError
from edge_agent.mqtt import Connected, Disconnected, Incoming
from edge_agent.wire.chunks import CHUNK_BYTES, digest_pages
from edge_agent.wire.manifest import Blob
from edge_agent.wire.messages import Need, encode
from edge_agent.wire.topics import ChunkTopic, PageTopic, Topics
from host_tools.broker.session import Session
from host_tools.broker.settings import Settings
from host_tools.push.upload import Uploader
from support.links import QueuedLink


def describe(data: bytes) -> Blob:
    """What a manifest says of these bytes."""
    pages = digest_pages(iter([data[i : i + CHUNK_BYTES] for i in range(0, len(data), CHUNK_BYTES)]))
    return Blob(hashlib.sha256(data).hexdigest(), len(data), [hashlib.sha256(page).hexdigest() for page in pages])


def write_blob(path: Path, size: int, seed: int = 0) -> Blob:
    """A file of ``size`` bytes that no compression and no other seed would give."""
    data = random.Random(seed).randbytes(size)  # noqa: S311  # no secret
    path.write_bytes(data)
    return describe(data)


def host(url: str, namespace: str) -> Session:
    return Session(Settings(url=url, namespace=namespace, broker_timeout_s=60))


def upload(url: str, namespace: str, path: Path, blob: Blob) -> int:
    """Upload and be gone."""
    with host(url, namespace) as session:
        return Uploader(session, [(path, blob)]).upload()


class Device:
    """Receives one blob as the daemon does: one consumer, an inbox, a tick."""

    def __init__(self, url: str, namespace: str, folder: Path, blob: Blob, name: str = "pi-01") -> None:
        self.topics = Topics(namespace)
        self.name = name
        self.partial = PartialBlob(folder, blob, reserve_bytes=0)
        self.queued = QueuedLink(url, f"{namespace}-{name}".replace("/", "-"), clean=False)
        self.receiver = Receiver(
            self.partial, self.topics, self.queued.link, self._need, device=name, now=time.monotonic()
        )

    def _need(self, need: Need) -> None:
        self.queued.link.publish(self.topics.device(self.name, "need"), encode(need))

    def run(self, timeout_s: float, until: Callable[[], bool] = lambda: False) -> Path | None:
        """Connect and receive until the blob is whole or ``until`` holds."""
        with self.queued:
            deadline = time.monotonic() + timeout_s
            while self.receiver.path is None and not until() and time.monotonic() < deadline:
                self._step()
            self.receiver.stop()
        return self.receiver.path

    def _step(self) -> None:
        try:
            event = self.queued.inbox.get(timeout=0.1)
        except queue.Empty:
            event = None
        match event:
            case Connected():
                self.receiver.connected(time.monotonic())
            case Disconnected():
                self.receiver.disconnected()
            case Incoming():
                try:
                    topic = self.topics.parse(event.topic)
                except WireError:
                    topic = None
                if isinstance(topic, ChunkTopic | PageTopic):
                    self.receiver.take(topic, event.payload, time.monotonic())
                self.queued.link.ack(event)
        self.receiver.tick(time.monotonic())


def main(url: str, namespace: str, folder: str, blob: str) -> None:
    """Receive, and print the count of chunks that were here at the start, then each new count."""
    device = Device(url, namespace, Path(folder), msgspec.json.decode(blob, type=Blob))
    print(device.partial.received, flush=True)  # noqa: T201
    seen = [0]

    def tell() -> bool:
        if device.receiver.counts.fresh != seen[0]:
            seen[0] = device.receiver.counts.fresh
            print(seen[0], flush=True)  # noqa: T201
        return False

    device.run(60, tell)


if __name__ == "__main__":
    main(*sys.argv[1:])
