"""Which of a reservoir's stretches a job takes, and how many windows of each. Pure.

Calibration windows come from the part that keeps rare regimes; search and held-out windows from the uniform part, so
that what is proved holds for what the sensor really sees. All three are divided by the reservoir's blocks of time,
which never touch. As few windows as will do are taken of one stretch, from as many stretches as there are: windows of
one stretch resemble each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from edge_agent.worker.data.split import SPLITS, Split

_STATEFUL_STRETCHES = 12
"""Where a model carries state, windows that follow each other are wanted: as many as make a capture's usual rounds."""


class Stretch(Protocol):
    """What is asked of a stretch: where in time it is, and which regime it belongs to."""

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
class Piece:
    """A stretch and the windows that are taken of its beginning."""

    stretch: Stretch
    windows: int


@dataclass(frozen=True, slots=True)
class Lack:
    """Why what is kept will not do: one clause."""

    why: str


Pieces = dict[Split, list[Piece]]


def capacity(samples: int, size: int, step: int) -> int:
    """Windows of ``size``, ``step`` apart, that a stretch of so many ``samples`` at the windows' rate holds."""
    return max(0, (samples - size) // step + 1)


def choose(
    calibration: Sequence[Stretch],
    judging: Sequence[Stretch],
    wanted: Mapping[Split, int],
    holds: Mapping[Split, int],
    *,
    stateful: bool,
) -> Pieces | Lack:
    """The pieces of each set in the order of time.

    Args:
        calibration: stretches of that part, in the order of time.
        judging: those of the uniform part.
        wanted: windows of each set.
        holds: windows that a stretch holds for each set, at least 1.
        stateful: the model carries state, so windows of a set should follow each other.
    """
    least = {split: _least(wanted[split], holds[split], stateful=stateful) for split in SPLITS}
    own = _pieces(calibration, wanted["calibration"], holds["calibration"], least["calibration"])
    divided = _divide(judging, wanted, holds, least)
    if own is None or divided is None:
        return Lack(_said(len(calibration), len(judging), wanted, holds))
    return {"calibration": own, **divided}


def spare(calibration: Sequence[Stretch], taken: Sequence[Piece], windows: int) -> list[Piece]:
    """Pieces of other stretches for so many windows more, as far as there are any, in the order of time."""
    used = {id(piece.stretch) for piece in taken}
    left = [stretch for stretch in calibration if id(stretch) not in used]
    each = max((piece.windows for piece in taken), default=1)
    return _pieces(left, min(windows, each * len(left)), each, each) or []


def _least(wanted: int, holds: int, *, stateful: bool) -> int:
    """Windows of one stretch at the least."""
    return min(holds, -(-wanted // _STATEFUL_STRETCHES)) if stateful else 1


def _pieces(stretches: Sequence[Stretch], wanted: int, holds: int, least: int) -> list[Piece] | None:
    """``wanted`` windows, of as few as possible of each stretch; None: there are not so many."""
    for each in range(least, holds + 1):
        count = -(-wanted // each)
        if count <= len(stretches):
            picked = [stretches[index] for index in _spread(_by_regime(stretches), count)]
            picked.sort(key=lambda stretch: stretch.time_s)
            return [Piece(stretch, share) for stretch, share in zip(picked, _shares(wanted, count), strict=True)]
    return None


def _by_regime(stretches: Sequence[Stretch]) -> list[int]:
    """Their numbers, those of one regime side by side and in time."""
    return sorted(range(len(stretches)), key=lambda index: (stretches[index].stratum, stretches[index].time_s))


def _spread(numbers: Sequence[int], count: int) -> list[int]:
    """``count`` of ``numbers``, evenly over all of them, so that each regime keeps its share."""
    return [numbers[(2 * place + 1) * len(numbers) // (2 * count)] for place in range(count)]


def _shares(wanted: int, count: int) -> list[int]:
    return [wanted * (place + 1) // count - wanted * place // count for place in range(count)]


def _divide(
    judging: Sequence[Stretch], wanted: Mapping[Split, int], holds: Mapping[Split, int], least: Mapping[Split, int]
) -> Pieces | None:
    """Search and held-out set, each from blocks of its own, taken in turn so that both see all of the time."""
    sets: tuple[Split, Split] = ("search", "heldout")
    for each in range(1, max(holds[split] for split in sets) + 1):
        count = {split: -(-wanted[split] // min(max(each, least[split]), holds[split])) for split in sets}
        if sum(count.values()) > len(judging):
            continue
        blocks: dict[int, list[Stretch]] = {}
        for stretch in judging:
            blocks.setdefault(stretch.block, []).append(stretch)
        own: dict[Split, list[Stretch]] = {"search": [], "heldout": []}
        for stretches in blocks.values():
            poorer = min(sets, key=lambda split: len(own[split]) / count[split])
            own[poorer] += stretches
        made = {split: _pieces(own[split], wanted[split], holds[split], least[split]) for split in sets}
        if made["search"] is not None and made["heldout"] is not None:
            return {"search": made["search"], "heldout": made["heldout"]}
    return None


def _said(calibration: int, judging: int, wanted: Mapping[Split, int], holds: Mapping[Split, int]) -> str:
    """What is there, and about what would do."""
    fewest = {split: -(-wanted[split] // holds[split]) for split in SPLITS}
    need = fewest["search"] + fewest["heldout"]
    return (
        f"{calibration} stretches are kept for calibration and {judging} for search and verdict; "
        f"the sets take {fewest['calibration']} and {need} or more"
    )
