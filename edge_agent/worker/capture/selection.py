"""Selects the segments of a reservoir for a job, and the number of windows from each. Pure.

Calibration windows come from the part that preserves rare regimes. Search and held-out windows come from the uniform
part, so that the verdict holds for the data that the sensor really sees. The reservoir's blocks of time, which never
touch, separate all three sets. The selection takes few windows per segment from many segments, because windows of one
segment resemble each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from edge_agent.strict import counted
from edge_agent.worker.data.split import SPLITS, Split

_STATEFUL_SEGMENTS = 12
"""A model with carried state needs consecutive windows: its sets use as many segments as a capture has rounds."""


class KnownSegment(Protocol):
    """The properties of a segment that the selection needs: its time and its regime."""

    @property
    def time_s(self) -> float:
        """Time of the first sample."""
        ...

    @property
    def block(self) -> int:
        """Number of the block of time."""
        ...

    @property
    def stratum(self) -> int:
        """Number of the regime."""
        ...


@dataclass(frozen=True, slots=True)
class SegmentShare:
    """A segment, and the number of windows to take from its start."""

    segment: KnownSegment
    windows: int


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Why the stored samples are not enough: one clause."""

    why: str


SegmentShares = dict[Split, list[SegmentShare]]


def capacity(samples: int, size: int, step: int) -> int:
    """The number of windows of ``size``, ``step`` apart, in a segment of ``samples`` samples at the windows' rate."""
    return max(0, (samples - size) // step + 1)


def choose(
    calibration: Sequence[KnownSegment],
    judging: Sequence[KnownSegment],
    wanted: Mapping[Split, int],
    holds: Mapping[Split, int],
    *,
    stateful: bool,
) -> SegmentShares | Shortfall:
    """The shares of each set in time order; a ``Shortfall`` if there are too few segments.

    Args:
        calibration: segments of the calibration part, in time order.
        judging: segments of the uniform part, in time order.
        wanted: number of windows for each set.
        holds: number of windows that a segment holds for each set, at least 1.
        stateful: the model carries state, so windows of a set should be consecutive.
    """
    least = {split: _least(wanted[split], holds[split], stateful=stateful) for split in SPLITS}
    own = _shares_of(calibration, wanted["calibration"], holds["calibration"], least["calibration"])
    divided = _divide(judging, wanted, holds, least)
    if own is None or divided is None:
        return Shortfall(_shortfall(len(calibration), len(judging), wanted, holds))
    return {"calibration": own, **divided}


def spare(calibration: Sequence[KnownSegment], taken: Sequence[SegmentShare], windows: int) -> list[SegmentShare]:
    """Shares of unused segments for up to ``windows`` more windows, in time order."""
    used = {id(share.segment) for share in taken}
    left = [segment for segment in calibration if id(segment) not in used]
    each = max((share.windows for share in taken), default=1)
    return _shares_of(left, min(windows, each * len(left)), each, each) or []


def _least(wanted: int, holds: int, *, stateful: bool) -> int:
    """The fewest windows to take from one segment."""
    return min(holds, -(-wanted // _STATEFUL_SEGMENTS)) if stateful else 1


def _shares_of(segments: Sequence[KnownSegment], wanted: int, holds: int, least: int) -> list[SegmentShare] | None:
    """Shares for ``wanted`` windows, as few as possible per segment; None if there are not enough segments."""
    for each in range(least, holds + 1):
        count = -(-wanted // each)
        if count <= len(segments):
            picked = [segments[index] for index in _spread(_by_regime(segments), count)]
            picked.sort(key=lambda segment: segment.time_s)
            shares = _even_shares(wanted, count)
            return [SegmentShare(segment, windows) for segment, windows in zip(picked, shares, strict=True)]
    return None


def _by_regime(segments: Sequence[KnownSegment]) -> list[int]:
    """Indices of the segments, sorted by regime and then by time."""
    return sorted(range(len(segments)), key=lambda index: (segments[index].stratum, segments[index].time_s))


def _spread(numbers: Sequence[int], count: int) -> list[int]:
    """``count`` of ``numbers``, evenly spaced, so that each regime keeps its share."""
    return [numbers[(2 * place + 1) * len(numbers) // (2 * count)] for place in range(count)]


def _even_shares(wanted: int, count: int) -> list[int]:
    return [wanted * (place + 1) // count - wanted * place // count for place in range(count)]


def _divide(
    judging: Sequence[KnownSegment], wanted: Mapping[Split, int], holds: Mapping[Split, int], least: Mapping[Split, int]
) -> SegmentShares | None:
    """Search and held-out set, each from its own blocks, which alternate so that both sets cover the whole time."""
    sets: tuple[Split, Split] = ("search", "heldout")
    for each in range(1, max(holds[split] for split in sets) + 1):
        count = {split: -(-wanted[split] // min(max(each, least[split]), holds[split])) for split in sets}
        if sum(count.values()) > len(judging):
            continue
        blocks: dict[int, list[KnownSegment]] = {}
        for segment in judging:
            blocks.setdefault(segment.block, []).append(segment)
        own: dict[Split, list[KnownSegment]] = {"search": [], "heldout": []}
        for segments in blocks.values():
            poorer = min(sets, key=lambda split: len(own[split]) / count[split])
            own[poorer] += segments
        made = {split: _shares_of(own[split], wanted[split], holds[split], least[split]) for split in sets}
        if made["search"] is not None and made["heldout"] is not None:
            return {"search": made["search"], "heldout": made["heldout"]}
    return None


def _shortfall(calibration: int, judging: int, wanted: Mapping[Split, int], holds: Mapping[Split, int]) -> str:
    """A clause with the stored segments, and about how many would be enough."""
    fewest = {split: -(-wanted[split] // holds[split]) for split in SPLITS}
    need = fewest["search"] + fewest["heldout"]
    return (
        f"only {counted(calibration, 'segment')} for calibration and {judging} for search and verdict are stored; "
        f"the sets need {fewest['calibration']} and {need} or more"
    )
