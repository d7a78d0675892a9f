"""Checks that int8 still finds each class that float finds. Pure.

Agreement over all windows hides a rare class: on 800 windows with 15 impacts, a model that finds none agrees in 98 %.
So each class is counted separately: the share that int8 keeps of the windows in which float finds the class.

The unit of evidence is a window for every kind. The items of a class in one window (boxes, pixels, symbols) are one
scene and are mostly lost together, so forty boxes of one window are not forty observations. A window may be kept in
part, such as two of three boxes; :meth:`edge_agent.quant.kinds.kind.Kind.kept_classes` defines the count of a kind.

The share is a point estimate, as few windows of a rare class prove nothing. With fewer than :data:`FEWEST` windows it
only causes a warning. Such rare classes are also judged together: a model with thirty classes of nine windows each must
not lose all of them. Float is often least sure of what it seldom finds. So together they cause a rejection only where
chance does not explain the loss.
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
"""Minimum windows of a class for its recall to reject a candidate."""
MIN_CLASS_RECALL = 0.8
_MOST_TOLD = 3

Counts = Mapping[Any, tuple[int, float]]
"""Class → (windows in which float finds it, correctly where there are labels; how many of them int8 keeps)."""
Kept = Mapping[Any, tuple[float, float]]
"""For one window: class → (amount that float finds, amount of it that int8 keeps), in the kind's own unit."""


@dataclass(slots=True)
class _Sum:
    windows: int = 0
    given: float = 0.0
    kept: float = 0.0


class ClassCounts:
    """Adds up the kept share of each class over the windows."""

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
        """The counts so far; each window's kept share is weighted by its amount of the class."""
        return {label: (one.windows, one.windows * (one.kept / one.given)) for label, one in self._sums.items()}


def told(counts: Counts) -> list[ClassKept]:
    """The classes for the report, the worst first; the bound treats windows as independent."""
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
        counts: counts of the judged windows.
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
    """The same gate for the labelled set that came with the model."""
    finding = class_recall(counts, asked)
    if finding is None:
        return None
    gate = structs.replace(finding.gate, on="eval")
    return GateFinding(gate, finding.code, f"on the labelled set {finding.message}")


def recall_warnings(counts: Counts, asked: float | None) -> tuple[str, ...]:
    """Warnings about classes that are lost but too rare to reject the candidate."""
    limit = MIN_CLASS_RECALL if asked is None else asked
    rare = [one for one in _worst_first(counts) if one.windows < FEWEST and one.kept < limit * one.windows]
    if not limit or not rare:
        return ()
    told = "; ".join(f"class {one.label}: {_amount(one.kept)} of {one.windows} windows" for one in rare[:_MOST_TOLD])
    more = f"; {len(rare)} classes in all" if len(rare) > _MOST_TOLD else ""
    return (f"int8 keeps too few windows of some classes, which are too rare to reject it: {told}{more}; capture more",)


def unlabelled_warnings(counts: Counts, given: Counts, asked: float | None) -> tuple[str, ...]:
    """Warnings about lost classes that the labels call wrong in every window, as the labels may not know those classes.

    Args:
        counts: counts of the windows in which float is right.
        given: counts of all windows.
        asked: the manifest's limit, as for :func:`class_recall`.
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
    """The rare classes as one, if they have enough windows and chance does not explain their loss."""
    windows, kept = sum(one.windows for one in rare), sum(one.kept for one in rare)
    if len(rare) < 2 or windows < FEWEST or upper_bound(kept, windows) >= limit:  # noqa: PLR2004  # several
        return None
    return _Row(None, windows, kept)


def _finding(limit: float, recall: float, text: str) -> GateFinding:
    gate = GateResult("min_class_recall", limit, recall, not text)
    return GateFinding(gate, "class_lost", f"{text}; at least {percent(limit)} must stay (min_class_recall)")


def _amount(windows: float) -> str:
    """A number of windows, possibly fractional."""
    return f"{round(windows, 1):g}"
