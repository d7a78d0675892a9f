"""Whether int8 still finds each class that float gives. Pure.

Agreement over all windows does not see a rare class: of 800 windows with 15 impacts, a model that finds none agrees in
98 %. So each class is counted by itself: of the windows to which float gives it, the share to which int8 gives it, too.
It is a point estimate, as few windows of a rare class prove nothing; and of fewer than :data:`FEWEST` it only warns.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import structs

from edge_agent.jobs.result import GateResult
from edge_agent.quant.findings import GateFinding, percent

FEWEST = 10
"""Windows of a class from which on its recall refuses."""
MIN_CLASS_RECALL = 0.8
_MOST_TOLD = 3

Counts = Mapping[Any, tuple[int, int]]
"""Class → (windows to which float gives it, rightly where there are labels; those of them in which int8 agrees)."""


def class_recall(counts: Counts, asked: float | None) -> GateFinding | None:
    """The gate ``min_class_recall``; None if it is off, or no class has enough windows.

    Args:
        counts: of the windows that are judged.
        asked: the manifest's limit; None: the default, 0: no gate.
    """
    limit = MIN_CLASS_RECALL if asked is None else asked
    enough = [one for one in _worst_first(counts) if one[1] >= FEWEST]
    if not limit or not enough or len(counts) < 2:  # noqa: PLR2004  # one class: nothing to tell apart
        return None
    label, windows, kept = enough[0]
    recall = kept / windows
    message = (
        f"of {windows} windows that float calls class {label}, int8 calls {kept} so; at least {percent(limit)} "
        "must stay (min_class_recall)"
    )
    return GateFinding(GateResult("min_class_recall", limit, recall, recall >= limit), "class_lost", message)


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
    rare = [one for one in _worst_first(counts) if one[1] < FEWEST and one[2] < limit * one[1]]
    if not limit or not rare or len(counts) < 2:  # noqa: PLR2004
        return ()
    told = "; ".join(f"class {label}: {kept} of {windows} windows" for label, windows, kept in rare[:_MOST_TOLD])
    more = f"; {len(rare)} classes in all" if len(rare) > _MOST_TOLD else ""
    return (f"int8 keeps too little of what float gives, in too few windows to refuse: {told}{more}; capture more",)


def _worst_first(counts: Counts) -> Iterable[tuple[Any, int, int]]:
    rows = [(label, windows, kept) for label, (windows, kept) in counts.items()]
    return sorted(rows, key=lambda one: one[2] / one[1])
