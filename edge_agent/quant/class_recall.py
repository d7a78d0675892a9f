"""Whether int8 still finds each class that float gives. Pure.

Agreement over all windows does not see a rare class: of 800 windows with 15 impacts, a model that finds none agrees in
98 %. So each class is counted by itself: of the windows to which float gives it, the share that int8 keeps.

The unit of evidence is a window, whatever the kind: what one window holds of a class (boxes, pixels, symbols) is one
scene and mostly lost together, so forty boxes of one window are no forty witnesses. How much of a window is kept may be
a part of it, as two of three boxes; :meth:`edge_agent.quant.kinds.kind.Kind.kept_classes` says what a kind counts.

The share is a point estimate, as few windows of a rare class prove nothing; and of fewer than :data:`FEWEST` it only
warns. Such classes are looked at together, too: a model with thirty classes of nine windows each must not lose all of
them. What float seldom gives is often what it is least sure of, so together they refuse only where chance does not
explain what is lost.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from msgspec import structs

from edge_agent.jobs.measured_outputs import MOST_CLASSES, ClassKept
from edge_agent.jobs.result import GateResult
from edge_agent.quant.bounds import agreement_lower, upper_bound
from edge_agent.quant.findings import GateFinding, percent

FEWEST = 10
"""Windows of a class from which on its recall refuses."""
MIN_CLASS_RECALL = 0.8
_MOST_TOLD = 3

Counts = Mapping[Any, tuple[int, float]]
"""Class → (windows to which float gives it, rightly where there are labels; how many of them int8 keeps)."""
Kept = Mapping[Any, tuple[float, float]]
"""Of one window: class → (how much of it float gives, how much of that int8 keeps), in the kind's own unit."""


@dataclass(slots=True)
class _Sum:
    windows: int = 0
    given: float = 0.0
    kept: float = 0.0


class ClassCounts:
    """Adds up what window after window keeps of each class."""

    def __init__(self) -> None:
        self._sums: dict[Hashable, _Sum] = {}

    def add(self, window: Kept) -> None:
        """Add one window."""
        for label, (given, kept) in window.items():
            one = self._sums.setdefault(label, _Sum())
            one.windows += 1
            one.given += given
            one.kept += kept

    @property
    def counts(self) -> dict[Any, tuple[int, float]]:
        """The counts so far; kept windows are weighed by what they hold of the class."""
        return {label: (one.windows, one.windows * (one.kept / one.given)) for label, one in self._sums.items()}


def told(counts: Counts) -> list[ClassKept]:
    """What a report says of the classes, the worst first; the bound takes windows for independent."""
    return [
        ClassKept(one.label, one.windows, one.recall, agreement_lower(one.windows - one.kept, one.windows))
        for one in _worst_first(counts)[:MOST_CLASSES]
    ]


class _Row(NamedTuple):
    label: Any
    windows: int
    kept: float

    @property
    def recall(self) -> float:
        return self.kept / self.windows


def class_recall(counts: Counts, asked: float | None) -> GateFinding | None:
    """The gate ``min_class_recall``; None if it is off, or no class has enough windows.

    Args:
        counts: of the windows that are judged.
        asked: the manifest's limit; None: the default, 0: no gate.
    """
    limit = MIN_CLASS_RECALL if asked is None else asked
    if not limit:
        return None
    rows = _worst_first(counts)
    enough = [one for one in rows if one.windows >= FEWEST]
    if enough and enough[0].recall < limit:
        worst = enough[0]
        text = f"of {worst.windows} windows to which float gives class {worst.label}, int8 keeps {_amount(worst.kept)}"
        return _finding(limit, worst.recall, text)
    rare = [one for one in rows if one.windows < FEWEST]
    if together := _lost_together(rare, limit):
        labels = [str(one.label) for one in rare]
        which = ", ".join(labels if len(labels) <= _MOST_TOLD else [*labels[:_MOST_TOLD], f"{len(labels)} in all"])
        text = f"of {together.windows} windows to which float gives one of the rare classes ({which}), int8 keeps "
        return _finding(limit, together.recall, f"{text}{_amount(together.kept)}")
    return _finding(limit, enough[0].recall, "") if enough else None


def recall_of_labelled(counts: Counts, asked: float | None) -> GateFinding | None:
    """The same of the labelled set that came with the model."""
    finding = class_recall(counts, asked)
    if finding is None:
        return None
    gate = structs.replace(finding.gate, on="eval")
    return GateFinding(gate, finding.code, f"on the labelled set {finding.message}")


def recall_warnings(counts: Counts, asked: float | None) -> tuple[str, ...]:
    """What is said of classes that are lost but too rare to refuse."""
    limit = MIN_CLASS_RECALL if asked is None else asked
    rare = [one for one in _worst_first(counts) if one.windows < FEWEST and one.kept < limit * one.windows]
    if not limit or not rare:
        return ()
    told = "; ".join(f"class {one.label}: {_amount(one.kept)} of {one.windows} windows" for one in rare[:_MOST_TOLD])
    more = f"; {len(rare)} classes in all" if len(rare) > _MOST_TOLD else ""
    return (f"int8 keeps too little of what float gives, in too few windows to refuse: {told}{more}; capture more",)


def unlabelled_warnings(counts: Counts, given: Counts, asked: float | None) -> tuple[str, ...]:
    """What is said of classes that int8 loses and that labels call wrong in every window: they may not know them.

    Args:
        counts: of the windows in which float is right.
        given: of all windows.
        asked: the manifest's limit, as of :func:`class_recall`.
    """
    limit = MIN_CLASS_RECALL if asked is None else asked
    lost = [one for one in _worst_first(given) if one.label not in counts and one.windows >= FEWEST]
    return tuple(
        f"of {one.windows} windows to which float gives class {one.label}, int8 keeps {_amount(one.kept)}; the labels "
        "call all of them wrong, so this decides nothing: check that the labels know the class"
        for one in lost[:_MOST_TOLD]
        if one.recall < limit
    )


def _worst_first(counts: Counts) -> list[_Row]:
    rows = [_Row(label, windows, kept) for label, (windows, kept) in counts.items()]
    return sorted(rows, key=lambda one: one.recall)


def _lost_together(rare: list[_Row], limit: float) -> _Row | None:
    """Several rare classes as one, if they have enough windows and chance does not explain what is lost of them."""
    windows, kept = sum(one.windows for one in rare), sum(one.kept for one in rare)
    if len(rare) < 2 or windows < FEWEST or upper_bound(kept, windows) >= limit:  # noqa: PLR2004  # several
        return None
    return _Row(None, windows, kept)


def _finding(limit: float, recall: float, text: str) -> GateFinding:
    gate = GateResult("min_class_recall", limit, recall, not text)
    return GateFinding(gate, "class_lost", f"{text}; at least {percent(limit)} must stay (min_class_recall)")


def _amount(windows: float) -> str:
    """A number of windows, which may be a part of one."""
    return f"{round(windows, 1):g}"
