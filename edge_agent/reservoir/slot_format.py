"""The binary format of a reservoir's file: a head that describes it, and slots of equal size. Pure.

    head    magic, version, length, CRC-32 of the JSON · JSON of :class:`Head` · zeros to 4096 bytes
    slot    magic, version, part, place, stratum, digest of the head, seq, time, block, weight, CRC-32 of everything
            before it and of the samples · samples · zeros to 4096 bytes

Numbers are little-endian. Slots are whole blocks of 4096 bytes, so that writing one neither reads nor rewrites a part
of another one.
"""

import hashlib
import struct
import zlib
from functools import cached_property
from typing import Any

import msgspec

from edge_agent.reservoir.segment_format import SegmentFormat
from edge_agent.reservoir.time_blocks import PARTS, Part
from edge_agent.strict import UNDECODABLE

BLOCK_BYTES = 4096
_VERSION = 1
_HEAD = struct.Struct("<4sHHII")
_HEAD_MAGIC, _SLOT_MAGIC = b"EARs", b"EARk"
_SLOT = struct.Struct("<4sHHii8sQdqd")
_CRC = struct.Struct("<I")
MOST_HEAD_BYTES = 1 << 16
_SAMPLES_AT = 64
"""Slot header and CRC take 60 bytes; samples begin aligned for every type."""


class Head(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The description of a file. Derived values are cached, since every slot needs them."""

    shape: SegmentFormat
    places: dict[Part, int]
    """Number of segments in each part."""
    slots: int
    """Number of slots, which is larger than that of places: see :mod:`.slots`."""
    seed: int
    """Seed of the parts, and of the random draws."""
    since_s: float
    """Start time, in seconds of the wall clock."""

    @cached_property
    def start(self) -> int:
        """Offset of the first slot: the size of the packed head."""
        return len(pack_head(self))

    @cached_property
    def slot_bytes(self) -> int:
        """Size of a slot, padding included."""
        return _whole(_SAMPLES_AT + self.shape.segment_bytes)

    @cached_property
    def digest(self) -> bytes:
        """Eight bytes that distinguish this file's slots from those of an earlier one on the same disk blocks."""
        return hashlib.sha256(msgspec.json.encode(self)).digest()[:8]


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """The metadata of a segment in its slot."""

    part: Part
    place: int
    """Index among all places, calibration's first."""
    stratum: int
    """-1 in the judging part."""
    seq: int
    """Increases with every stored segment."""
    time_s: float
    block: int
    weight: float
    """Number of segments of its part or stratum seen until then, older ones counting less."""


def _whole(size: int) -> int:
    return -(-size // BLOCK_BYTES) * BLOCK_BYTES


def pack_head(head: Head) -> bytes:
    """Return the head's bytes, padded to whole blocks."""
    text = msgspec.json.encode(head)
    packed = _HEAD.pack(_HEAD_MAGIC, _VERSION, 0, len(text), zlib.crc32(text)) + text
    return packed.ljust(_whole(len(packed)), b"\0")


def unpack_head(data: bytes) -> Head | None:
    """Return the head of a file that begins with ``data``; None: not ours, of another version, or damaged."""
    if len(data) < _HEAD.size:
        return None
    magic, version, _, length, crc = _HEAD.unpack_from(data)
    text = data[_HEAD.size : _HEAD.size + length]
    if magic != _HEAD_MAGIC or version != _VERSION or len(text) != length or zlib.crc32(text) != crc:
        return None
    try:
        return msgspec.json.decode(text, type=Head)
    except UNDECODABLE:
        return None


def pack_slot(label: Label, samples: bytes, digest: bytes, slot_bytes: int) -> bytes:
    """Return a slot's bytes."""
    fields = (label.place, label.stratum, digest, label.seq, label.time_s, label.block, label.weight)
    header = _SLOT.pack(_SLOT_MAGIC, _VERSION, PARTS.index(label.part), *fields)
    crc = _CRC.pack(zlib.crc32(samples, zlib.crc32(header)))
    return ((header + crc).ljust(_SAMPLES_AT, b"\0") + samples).ljust(slot_bytes, b"\0")


def unpack_slot(data: bytes, head: Head, digest: bytes) -> tuple[Label, memoryview] | None:
    """Return label and samples of a slot; None: empty, torn, or of another file."""
    end = _SAMPLES_AT + head.shape.segment_bytes
    if len(data) < end or data[:4] != _SLOT_MAGIC:
        return None
    fields: tuple[Any, ...] = _SLOT.unpack_from(data)
    _, version, part, place, stratum, whose, seq, time_s, block, weight = fields
    view = memoryview(data)
    samples = view[_SAMPLES_AT:end]
    (crc,) = _CRC.unpack_from(data, _SLOT.size)
    if version != _VERSION or whose != digest or crc != zlib.crc32(samples, zlib.crc32(view[: _SLOT.size])):
        return None
    if part >= len(PARTS) or not 0 <= place < sum(head.places.values()):
        return None
    label = Label(part=PARTS[part], place=place, stratum=stratum, seq=seq, time_s=time_s, block=block, weight=weight)
    return label, samples
