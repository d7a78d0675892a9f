"""What a reservoir holds, for any process, while its writer goes on.

``read`` looks at every slot once and notes which stretches are there; samples are read one stretch at a time, when they
are asked for. A slot is written over at the earliest when its stretch was replaced and all other free slots were used
before it, so what is noted is usually still there minutes later. Where it is not, ``load`` says so by None (seq and CRC
are checked again): which stretch is replaced is drawn at random, so leaving it out biases nothing.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from edge_agent.advice.permission import not_permitted
from edge_agent.errors import StoreError
from edge_agent.reservoir.segment_format import Samples, Shape
from edge_agent.reservoir.slot_format import Head, Label
from edge_agent.reservoir.slots import FILE, read_head, read_slot, scan
from edge_agent.reservoir.time_blocks import Part


@dataclass(frozen=True, slots=True)
class KeptStretch:
    """One stretch.

    Attributes:
        seq: ascends in the order in which stretches were kept, over both parts.
        time_s: of its first sample, in seconds of the wall clock.
        block: its block of time; stretches of two blocks neither overlap nor touch, and a block has one part.
        part: ``calibration`` (rare regimes have more than their share) or ``judging`` (uniform over time).
        stratum: number of its regime; -1 in the judging part.
        weight: about how many stretches of the stream it stands for, older ones counting less.
        slot: where it is.
    """

    seq: int
    time_s: float
    block: int
    part: Part
    stratum: int
    weight: float
    slot: int


class Kept:
    """A consistent set of stretches, in the order of time; to be closed."""

    def __init__(self, descriptor: int, head: Head, stretches: tuple[KeptStretch, ...]) -> None:
        self._descriptor = descriptor
        self._head = head
        self.stretches = stretches

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def shape(self) -> Shape:
        """What each stretch looks like."""
        return self._head.shape

    @property
    def since_s(self) -> float:
        """When the reservoir was begun, in seconds of the wall clock."""
        return self._head.since_s

    def of(self, part: Part) -> list[KeptStretch]:
        """The stretches of one part, in the order of time."""
        return [stretch for stretch in self.stretches if stretch.part == part]

    def load(self, stretch: KeptStretch) -> Samples | None:
        """Its samples ``[samples, *frame_shape, channels]``; None: it was replaced meanwhile."""
        found = read_slot(self._descriptor, self._head, stretch.slot)
        if found is None or found.label.seq != stretch.seq:
            return None
        samples: Samples = np.frombuffer(found.samples, self.shape.dtype).reshape(self.shape.array_shape)
        return samples

    def close(self) -> None:
        """Let go of the file; may be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def read(folder: Path) -> Kept:
    """What the reservoir in ``folder`` holds now; raises ``StoreError``: state_unreadable, permission_denied."""
    path = folder / FILE
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError:
        raise StoreError("permission_denied", not_permitted(path)) from None
    except OSError as error:
        raise StoreError("state_unreadable", f"no samples are kept in {path}: {error.strerror}") from None
    try:
        head = read_head(descriptor)
        stretches = _snapshot(descriptor, head) if head else ()
    except OSError as error:
        os.close(descriptor)
        raise StoreError("state_unreadable", f"{path}: {error.strerror}") from None
    if head is None:
        os.close(descriptor)
        raise StoreError("state_unreadable", f"{path} is broken; it is begun anew when its source is next read")
    return Kept(descriptor, head, stretches)


def _snapshot(descriptor: int, head: Head) -> tuple[KeptStretch, ...]:
    highest: dict[int, tuple[Label, int]] = {}
    for label, slot, _ in scan(descriptor, head):
        if label.place not in highest or highest[label.place][0].seq < label.seq:
            highest[label.place] = (label, slot)
    seen: dict[int, float] = {}
    members: dict[int, int] = {}
    for label, _ in highest.values():
        seen[label.stratum] = max(seen.get(label.stratum, 0.0), label.weight)
        members[label.stratum] = members.get(label.stratum, 0) + 1
    stretches = [
        KeptStretch(
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
    return tuple(sorted(stretches, key=lambda stretch: (stretch.time_s, stretch.seq)))
