"""A snapshot of a reservoir, for any process, while its writer continues.

``read`` reads every slot once and notes the segments; ``load`` reads the samples of one segment. A slot is overwritten
only after its segment was replaced and all other free slots were used, so noted segments are usually still there
minutes later. If one is not, ``load`` returns None (it checks seq and CRC again). The replaced segment was drawn at
random, so its absence causes no bias.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from edge_agent.advice.permission import not_permitted
from edge_agent.errors import StoreError
from edge_agent.foreign.opening import open_file
from edge_agent.reservoir.segment_format import Samples, SegmentFormat
from edge_agent.reservoir.slot_format import Head, Label
from edge_agent.reservoir.slots import FILE, read_head, read_slot, scan
from edge_agent.reservoir.time_blocks import Part


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment.

    Attributes:
        seq: increases in the order in which segments were stored, over both parts.
        time_s: time of its first sample, in seconds of the wall clock.
        block: its block of time; segments of two blocks neither overlap nor touch, and a block has one part.
        part: ``calibration`` (rare regimes are over-represented) or ``judging`` (uniform over time).
        stratum: number of its regime; -1 in the judging part.
        weight: approximate number of segments of the stream that it represents, older ones counting less.
        slot: its slot in the file.
    """

    seq: int
    time_s: float
    block: int
    part: Part
    stratum: int
    weight: float
    slot: int


class ReservoirSnapshot:
    """A consistent set of segments, ordered by time; must be closed."""

    def __init__(self, descriptor: int, head: Head, segments: tuple[Segment, ...]) -> None:
        self._descriptor = descriptor
        self._head = head
        self.segments = segments

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def format(self) -> SegmentFormat:
        """The format of each segment."""
        return self._head.shape

    @property
    def since_s(self) -> float:
        """Start time of the reservoir, in seconds of the wall clock."""
        return self._head.since_s

    def of(self, part: Part) -> list[Segment]:
        """Return the segments of one part, ordered by time."""
        return [segment for segment in self.segments if segment.part == part]

    def load(self, segment: Segment) -> Samples | None:
        """Return a segment's samples ``[samples, *frame_shape, channels]``; None: it was replaced meanwhile."""
        found = read_slot(self._descriptor, self._head, segment.slot)
        if found is None or found.label.seq != segment.seq:
            return None
        samples: Samples = np.frombuffer(found.samples, self.format.dtype).reshape(self.format.array_shape)
        return samples

    def close(self) -> None:
        """Close the file; may be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def read(folder: Path) -> ReservoirSnapshot:
    """Take a snapshot of the reservoir in ``folder``; raise ``StoreError``: state_unreadable, permission_denied."""
    path = folder / FILE
    try:
        descriptor = open_file(folder, FILE)
    except PermissionError:
        raise StoreError("permission_denied", not_permitted(path)) from None
    except OSError as error:
        raise StoreError("state_unreadable", f"no samples are stored in {path}: {error.strerror}") from None
    try:
        head = read_head(descriptor)
        if head is not None and head.start + head.slots * head.slot_bytes > os.fstat(descriptor).st_size:
            head = None  # a false number of slots would make the scan arbitrarily long
        segments = _snapshot(descriptor, head) if head else ()
    except OSError as error:
        os.close(descriptor)
        raise StoreError("state_unreadable", f"{path}: {error.strerror}") from None
    if head is None:
        os.close(descriptor)
        raise StoreError("state_unreadable", f"{path} is damaged; it is replaced when its source is next read")
    return ReservoirSnapshot(descriptor, head, segments)


def _snapshot(descriptor: int, head: Head) -> tuple[Segment, ...]:
    highest: dict[int, tuple[Label, int]] = {}
    for label, slot, _ in scan(descriptor, head):
        if label.place not in highest or highest[label.place][0].seq < label.seq:
            highest[label.place] = (label, slot)
    seen: dict[int, float] = {}
    members: dict[int, int] = {}
    for label, _ in highest.values():
        seen[label.stratum] = max(seen.get(label.stratum, 0.0), label.weight)
        members[label.stratum] = members.get(label.stratum, 0) + 1
    segments = [
        Segment(
            seq=label.seq,
            time_s=label.time_s,
            block=label.block,
            part=label.part,
            stratum=label.stratum,
            weight=seen[label.stratum] / members[label.stratum],
            slot=slot,
        )
        for label, slot in highest.values()
    ]
    return tuple(sorted(segments, key=lambda segment: (segment.time_s, segment.seq)))
