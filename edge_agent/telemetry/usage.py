"""Serving statistics that an application sends to the daemon, one datagram per interval, and their sum. Pure.

``edge_agent.serving`` sends to ``state_dir/telemetry.sock``. Any process that can reach that socket can write anything
there. So the daemon treats a datagram as untrusted: bounded, typed, and about a known model.
"""

from typing import Annotated, Final

import msgspec

from edge_agent.printable import printable
from edge_agent.strict import UNDECODABLE
from edge_agent.telemetry.latencies import BUCKETS, quantile_ms
from edge_agent.wire.telemetry import ModelSample
from edge_agent.wire.topics import NAME_PATTERN

SOCKET_NAME: Final = "telemetry.sock"
MOST_BYTES: Final = 4096
"""Size limit of a datagram; one with all buckets in use is smaller."""
PROTOCOL: Final = 1
_MOST = 10**9
_MOST_PROCESSES = 1000
"""Processes that are distinguished in an interval; the inferences of further ones count all the same."""
MOST_TEXT: Final = 100
"""Characters of a runtime's name and version."""

Count = Annotated[int, msgspec.Meta(ge=0, le=_MOST)]
Bucket = Annotated[int, msgspec.Meta(ge=0, lt=BUCKETS)]


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """The use of one model by one process since its last datagram."""

    v: Annotated[int, msgspec.Meta(ge=PROTOCOL, le=PROTOCOL)] = PROTOCOL
    model: Annotated[str, msgspec.Meta(pattern=rf"^{NAME_PATTERN}\Z")]
    version: Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
    """Version of the release that answered."""
    runtime: Annotated[str, msgspec.Meta(max_length=MOST_TEXT)] = ""
    stale: bool | None = None
    errors: Count = 0
    """Calls that raised."""
    latencies: Annotated[list[tuple[Bucket, Count]], msgspec.Meta(max_length=BUCKETS)] = []
    """Bucket (see :mod:`edge_agent.telemetry.latencies`) and number of inferences, for each bucket in use."""
    rss_bytes: Annotated[int, msgspec.Meta(ge=0, lt=2**53)] | None = None
    """Resident memory of the whole process."""


_DECODER = msgspec.json.Decoder(Usage)


def encode_usage(usage: Usage) -> bytes:
    """The encoded datagram."""
    return msgspec.json.encode(usage)


def decode_usage(data: bytes) -> Usage | None:
    """The usage in a datagram; None if the datagram is invalid."""
    if len(data) > MOST_BYTES:
        return None
    try:
        return _DECODER.decode(data)
    except UNDECODABLE:
        return None


class UsageSum:
    """The use of one version of a model by all applications together in one interval."""

    def __init__(self, model: str, version: int) -> None:
        self._model = model
        self._version = version
        self._errors = 0
        self._counts: dict[int, int] = {}
        self._rss: dict[int, int | None] = {}
        """Process id → last reported resident memory."""
        self._runtime = ""
        self._stale: bool | None = None

    def add(self, usage: Usage, pid: int) -> None:
        """Add the datagram of process ``pid``."""
        self._errors += usage.errors
        for bucket, count in usage.latencies:
            self._counts[bucket] = self._counts.get(bucket, 0) + count
        if pid in self._rss or len(self._rss) < _MOST_PROCESSES:
            self._rss[pid] = usage.rss_bytes
        self._runtime = printable(usage.runtime, MOST_TEXT)
        if usage.stale is not None:
            self._stale = usage.stale or bool(self._stale)

    def sample(self, device: str, interval_s: float, dropped: int) -> ModelSample:
        """The message for the interval, in which ``dropped`` datagrams were not counted."""
        p50_ms, p95_ms, p99_ms = (quantile_ms(self._counts, share) for share in (0.5, 0.95, 0.99))
        return ModelSample(
            device=device,
            model=self._model,
            version=self._version,
            interval_s=round(interval_s, 1),
            applications=len(self._rss),
            inferences=sum(self._counts.values()),
            errors=self._errors,
            dropped=dropped,
            p50_ms=p50_ms,
            p95_ms=p95_ms,
            p99_ms=p99_ms,
            rss_bytes=max((rss for rss in self._rss.values() if rss is not None), default=None),
            runtime=self._runtime,
            stale=self._stale,
        )
