"""Counts a model's inferences and their latencies, and reports them to the daemon in a datagram every ten seconds.

The meter has no thread. It sends during an inference, so counts from before a pause are sent with the first inference
after it, or when the model is released or the program ends. Nothing here waits or raises. Without a daemon the counts
are dropped, because hours later they would pass for recent ones. If the daemon's socket is full, they are sent later.
"""

import logging
import os
import socket
import time
import weakref
from pathlib import Path
from typing import Final

from edge_agent.process.unix_address import short_address
from edge_agent.serving.loaded import Loaded
from edge_agent.telemetry.latencies import BUCKETS, bucket_of
from edge_agent.telemetry.usage import MOST_TEXT, SOCKET_NAME, Usage, encode_usage

log = logging.getLogger(__name__)

EVERY_S: Final = 10.0
_FRESH = 128
"""Latencies that wait to be sorted into buckets. In a batch each takes 0.2 µs; right after its inference, with cold
caches, each would take 1.5 µs."""
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Meter:
    """Counts for one :class:`edge_agent.serving.Model`; callers hold that model's lock."""

    def __init__(self, state_dir: Path, loaded: Loaded) -> None:
        self._path = state_dir / SOCKET_NAME
        self._about(loaded)
        self._begin()

    def tell_at_end_of(self, model: object) -> None:
        """Report the remaining counts when ``model`` is garbage-collected, or when the program ends."""
        weakref.finalize(model, self.tell)

    def answered(self, begun_ns: int, ended_ns: int) -> None:
        """An inference ran from ``begun_ns`` to ``ended_ns`` of :func:`time.perf_counter_ns`."""
        self._fresh.append(ended_ns - begun_ns)
        if ended_ns >= self._due_ns:
            self._tell_by_the_way()
        elif len(self._fresh) >= _FRESH:
            self._sort_in()

    def failed(self) -> None:
        """A call raised."""
        self._errors += 1
        if time.perf_counter_ns() >= self._due_ns:
            self._tell_by_the_way()

    def serves(self, loaded: Loaded) -> None:
        """Count for another release from now on; the counts of the former one are reported now or dropped."""
        self.tell()
        self._about(loaded)
        self._begin()

    def tell(self) -> None:
        """Send the counts, if there are any."""
        self._sort_in()
        ours = os.getpid() == self._pid  # after a fork the counts are the parent's, which reports them itself
        try:
            if ours and (self._errors or any(self._counts)):
                self._send()
        except BlockingIOError:  # the daemon's socket is full
            return
        except Exception as error:  # noqa: BLE001  # a failed report must not disturb the application
            log.debug("%s: %r", self._path, error)
        self._begin()

    def _tell_by_the_way(self) -> None:
        self._due_ns = time.perf_counter_ns() + int(EVERY_S * 1e9)
        self.tell()

    def _sort_in(self) -> None:
        for latency_ns in self._fresh:
            self._counts[bucket_of(latency_ns)] += 1
        self._fresh.clear()

    def _about(self, loaded: Loaded) -> None:
        """Store only the reported facts of ``loaded``, so that the release itself can be freed."""
        self._release = loaded.release
        self._runtime = f"{loaded.release.runtime} {loaded.runtime_version}".strip()[:MOST_TEXT]
        self._stale = loaded.runtime_changed

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._errors = 0
        self._counts = [0] * BUCKETS
        self._fresh: list[int] = []
        self._due_ns = time.perf_counter_ns() + int(EVERY_S * 1e9)

    def _send(self) -> None:
        usage = Usage(
            model=self._release.model,
            version=self._release.version,
            runtime=self._runtime,
            stale=self._stale,
            errors=self._errors,
            latencies=[(bucket, count) for bucket, count in enumerate(self._counts) if count],
            rss_bytes=_rss_bytes(),
        )
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, short_address(self._path) as address:
            sender.setblocking(False)
            sender.sendto(encode_usage(usage), address)


def _rss_bytes() -> int | None:
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[1]) * _PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return None
