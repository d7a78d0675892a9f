"""What goes over a shared source's socket: frames, each with its length before it. Pure.

    u32 length of what follows, then one byte:
    H  a hello: JSON, what the source is; the first frame, and again when the sensor is another one
    S  a state: JSON, why nothing comes, and a sample that was malformed; whenever that changes
    B  a batch: header (below), then samples [n, *frame_shape, channels], float32 or uint8, little-endian

Only the server speaks. A field of JSON that a reader does not know does no harm to it. Batches are numbered, and say
whether they follow on the one before *for this reader*: one that is too slow loses the oldest and is told so.
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
    """What the source is, as in :class:`edge_agent.sources.Source`; of a stream that the world paces."""

    v: int = PROTOCOL
    channels: tuple[str, ...]
    rate_hz: float
    silence_s: float
    frame_shape: tuple[int, ...] = ()
    rate_said_by: str = RATE_KEY
    """As :func:`edge_agent.acquisition.source.rate_said_by`; former versions do not have it."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the samples."""
        return np.dtype("u1") if self.frame_shape else np.dtype("<f4")

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Of one sample."""
        return (*self.frame_shape, len(self.channels))


class State(msgspec.Struct, frozen=True, kw_only=True):
    """How the sensor does.

    Attributes:
        code: why the sensor cannot be opened; empty while it is open.
        trouble: why nothing comes, in words.
        malformed_example: one of the samples that could not be understood, and why; empty if there is none. Former
            versions do not have it.
    """

    code: str = ""
    trouble: str = ""
    malformed_example: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples that follow on each other.

    Attributes:
        number: counts the batches of the source process, from 0.
        heard_s: when the last sample arrived, monotonic clock of this computer.
        time_s: when the first sample was taken, seconds since the epoch.
        gap: it does not follow on the batch before.
        malformed: samples that the source could not understand so far.
        samples: ``[n, *frame_shape, channels]``, n >= 1.
        lost: samples that this reader was too slow for, right before this batch.
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
    """A hello or a state as a frame."""
    body = (_HELLO if isinstance(message, Hello) else _STATE) + msgspec.json.encode(message)
    return _LENGTH.pack(len(body)) + body


def encode_batch(batch: Batch, payload_bytes: int, *, lost: int) -> bytes:
    """A batch's frame up to its samples, which follow as they are; with ``lost`` samples it is a gap."""
    gap = batch.gap or lost > 0
    header = _BATCH.pack(_BATCH_KIND, batch.number, batch.heard_s, batch.time_s, lost, batch.malformed, gap)
    return _LENGTH.pack(len(header) + payload_bytes) + header


class Decoder:
    """Frames from the bytes that arrive."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._hello: Hello | None = None

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are complete with ``data``.

        Raises:
            SourceError: ``source_unavailable``: this is no frame, or of another version.
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
