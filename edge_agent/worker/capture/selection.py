"""Which of a reservoir's segments a job takes, and how many windows of each. Pure.

Calibration windows come from the part that keeps rare regimes; search and held-out windows from the uniform part, so
that what is proved holds for what the sensor really sees. All three are divided by the reservoir's blocks of time,
which never touch. As few windows as will do are taken of one segment, from as many segments as there are: windows of
one segment resemble each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from edge_agent.worker.data.split import SPLITS, Split

_STATEFUL_SEGMENTS = 12
"""Where a model carries state, windows that follow each other are wanted: as many as make a capture's usual rounds."""


class KnownSegment(Protocol):
    """What is asked of a segment: where in time it is, and which regime it belongs to."""

    @property
    def time_s(self) -> float:
        """When its first sample was."""
        ...

    @property
    def block(self) -> int:
        """Its block of time."""
        ...

    @property
    def stratum(self) -> int:
        """Its regime."""
        ...


@dataclass(frozen=True, slots=True)
class SegmentShare:
    """A segment and the windows that are taken of its beginning."""

    segment: KnownSegment
    windows: int


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Why what is kept will not do: one clause."""

    why: str


SegmentShares = dict[Split, list[SegmentShare]]


def capacity(samples: int, size: int, step: int) -> int:
    """Windows of ``size``, ``step`` apart, that a segment of so many ``samples`` at the windows' rate holds."""
    return max(0, (samples - size) // step + 1)


def choose(
    calibration: Sequence[KnownSegment],
    judging: Sequence[KnownSegment],
    wanted: Mapping[Split, int],
    holds: Mapping[Split, int],
    *,
    stateful: bool,
) -> SegmentShares | Shortfall:
    """The shares of each set in the order of time.

    Args:
        calibration: segments of that part, in the order of time.
        judging: those of the uniform part.
        wanted: windows of each set.
        holds: windows that a segment holds for each set, at least 1.
        stateful: the model carries state, so windows of a set should follow each other.
    """
    least = {split: _least(wanted[split], holds[split], stateful=stateful) for split in SPLITS}
    own = _shares_of(calibration, wanted["calibration"], holds["calibration"], least["calibration"])
    divided = _divide(judging, wanted, holds, least)
    if own is None or divided is None:
        return Shortfall(_said(len(calibration), len(judging), wanted, holds))
    return {"calibration": own, **divided}


def spare(calibration: Sequence[KnownSegment], taken: Sequence[SegmentShare], windows: int) -> list[SegmentShare]:
    """Shares of other segments for so many windows more, as far as there are any, in the order of time."""
    used = {id(share.segment) for share in taken}
    left = [segment for segment in calibration if id(segment) not in used]
    each = max((share.windows for share in taken), default=1)
    return _shares_of(left, min(windows, each * len(left)), each, each) or []


def _least(wanted: int, holds: int, *, stateful: bool) -> int:
    """Windows of one segment at the least."""
    return min(holds, -(-wanted // _STATEFUL_SEGMENTS)) if stateful else 1


def _shares_of(segments: Sequence[KnownSegment], wanted: int, holds: int, least: int) -> list[SegmentShare] | None:
    """``wanted`` windows, of as few as possible of each segment; None: there are not so many."""
    for each in range(least, holds + 1):
        count = -(-wanted // each)
        if count <= len(segments):
            picked = [segments[index] for index in _spread(_by_regime(segments), count)]
            picked.sort(key=lambda segment: segment.time_s)
            shares = _even_shares(wanted, count)
            return [SegmentShare(segment, windows) for segment, windows in zip(picked, shares, strict=True)]
    return None


def _by_regime(segments: Sequence[KnownSegment]) -> list[int]:
    """Their numbers, those of one regime side by side and in time."""
    return sorted(range(len(segments)), key=lambda index: (segments[index].stratum, segments[index].time_s))


def _spread(numbers: Sequence[int], count: int) -> list[int]:
    """``count`` of ``numbers``, evenly over all of them, so that each regime keeps its share."""
    return [numbers[(2 * place + 1) * len(numbers) // (2 * count)] for place in range(count)]


def _even_shares(wanted: int, count: int) -> list[int]:
    return [wanted * (place + 1) // count - wanted * place // count for place in range(count)]


def _divide(
    judging: Sequence[KnownSegment], wanted: Mapping[Split, int], holds: Mapping[Split, int], least: Mapping[Split, int]
) -> SegmentShares | None:
    """Search and held-out set, each from blocks of its own, taken in turn so that both see all of the time."""
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


def _said(calibration: int, judging: int, wanted: Mapping[Split, int], holds: Mapping[Split, int]) -> str:
    """What is there, and about what would do."""
    fewest = {split: -(-wanted[split] // holds[split]) for split in SPLITS}
    need = fewest["search"] + fewest["heldout"]
    return (
        f"{calibration} {'stretch is' if calibration == 1 else 'stretches are'} kept for calibration and {judging} for "
        "search and verdict; "
        f"the sets take {fewest['calibration']} and {need} or more"
    )
