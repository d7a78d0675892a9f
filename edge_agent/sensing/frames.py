"""The protocol of a shared source's socket: length-prefixed frames. Pure.

    u32 length of the rest, then one byte:
    H  hello: JSON, the properties of the source; the first frame, and again when the sensor has changed
    S  state: JSON, why no samples arrive, and a malformed sample; on every change
    B  batch: header (below), then samples [n, *frame_shape, channels], float32 or uint8, little-endian

Only the server sends. Readers ignore unknown JSON fields. Batches are numbered. Each one states whether it continues
the previous batch *of this reader*: a reader that is too slow loses the oldest samples, and the next batch reports it.
"""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_agent.acquisition.source import RATE_KEY
from edge_agent.errors import SourceError
from edge_agent.strict import UNDECODABLE

PROTOCOL = 1
MAX_FRAME_BYTES = 1 << 28
Samples = NDArray[Any]
_LENGTH = struct.Struct("<I")
_BATCH = struct.Struct("<cQddQQ?")
_HELLO, _STATE, _BATCH_KIND = b"H", b"S", b"B"


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """The properties of a live source, as in :class:`edge_agent.sources.Source`."""

    v: int = PROTOCOL
    channels: tuple[str, ...]
    rate_hz: float
    silence_s: float
    frame_shape: tuple[int, ...] = ()
    rate_said_by: str = RATE_KEY
    """As :func:`edge_agent.acquisition.source.rate_said_by`; earlier versions do not send it."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the samples."""
        return np.dtype("u1") if self.frame_shape else np.dtype("<f4")

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape of one sample."""
        return (*self.frame_shape, len(self.channels))


class State(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the sensor.

    Attributes:
        code: why the sensor cannot be opened; empty while it is open.
        trouble: why no samples arrive, in words.
        malformed_example: a malformed sample, and its fault; empty if there is none. Earlier versions do not send it.
    """

    code: str = ""
    trouble: str = ""
    malformed_example: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive samples.

    Attributes:
        number: number of the batch in the source process, from 0.
        heard_s: arrival of the last sample, by this computer's monotonic clock.
        time_s: time of the first sample, seconds since the epoch.
        gap: whether samples are missing before this batch.
        malformed: total number of malformed samples.
        samples: ``[n, *frame_shape, channels]``, n >= 1.
        lost: number of samples right before this batch that this reader was too slow for.
    """

    number: int
    heard_s: float
    time_s: float
    gap: bool
    malformed: int
    samples: Samples
    lost: int = 0


Frame = Hello | State | Batch


def encode_json(message: Hello | State) -> bytes:
    """Return a hello or a state as a frame."""
    body = (_HELLO if isinstance(message, Hello) else _STATE) + msgspec.json.encode(message)
    return _LENGTH.pack(len(body)) + body


def encode_batch(batch: Batch, payload_bytes: int, *, lost: int) -> bytes:
    """Return a batch's frame up to its samples, which follow unchanged; ``lost`` samples make it a gap."""
    gap = batch.gap or lost > 0
    header = _BATCH.pack(_BATCH_KIND, batch.number, batch.heard_s, batch.time_s, lost, batch.malformed, gap)
    return _LENGTH.pack(len(header) + payload_bytes) + header


class Decoder:
    """Decodes frames from arriving bytes."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._hello: Hello | None = None

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames that ``data`` completes.

        Raises:
            SourceError: ``source_unavailable``: the bytes are no frame, or of another version.
        """
        self._rest += data
        while len(self._rest) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._rest)
            if not 0 < length <= MAX_FRAME_BYTES:
                raise _wrong(f"a frame of {length} bytes")
            if len(self._rest) < _LENGTH.size + length:
                return
            body = bytes(memoryview(self._rest)[_LENGTH.size : _LENGTH.size + length])
            del self._rest[: _LENGTH.size + length]
            yield self._frame(body)

    def _frame(self, body: bytes) -> Frame:
        kind = body[:1]
        try:
            if kind == _HELLO:
                self._hello = msgspec.json.decode(memoryview(body)[1:], type=Hello)
                if self._hello.v != PROTOCOL:
                    raise _wrong(f"version {self._hello.v}, this side speaks {PROTOCOL}")
                return self._hello
            if kind == _STATE:
                return msgspec.json.decode(memoryview(body)[1:], type=State)
        except UNDECODABLE as error:
            raise _wrong(str(error)) from None
        if kind != _BATCH_KIND or self._hello is None or len(body) <= _BATCH.size:
            raise _wrong(f"a frame of kind {kind!r}")
        _, number, heard_s, time_s, lost, malformed, gap = _BATCH.unpack_from(body)
        shape, dtype = self._hello.sample_shape, self._hello.dtype
        sample_bytes = math.prod(shape) * dtype.itemsize
        if sample_bytes < 1 or (len(body) - _BATCH.size) % sample_bytes:
            raise _wrong(f"a batch of {len(body) - _BATCH.size} bytes")
        samples = np.frombuffer(body, dtype, offset=_BATCH.size).reshape(-1, *shape)
        return Batch(number, heard_s, time_s, gap, malformed, samples, lost)


def _wrong(what: str) -> SourceError:
    return SourceError("source_unavailable", f"the source's process does not speak this protocol ({what}); restart it")
