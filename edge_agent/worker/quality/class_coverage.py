"""Checks that the sets cover the classes, by float's answers. Pure: counts in, findings out.

* ``one_class``: all windows of a set are of one class. A search set of one class cannot show whether a candidate keeps
  the other classes; ranges from a calibration set of one class ignore them. (For the held-out set: ``no_coverage``.)
* ``class_unseen``: a class occurs in the held-out set, but in neither calibration nor search.
"""

from collections.abc import Mapping

from edge_agent.worker.data.finding import Finding
from edge_agent.worker.data.split import Split

Counts = Mapping[Split, Mapping[int, int]]
"""Set → class → number of windows for which float predicts it."""
_WHY: dict[Split, str] = {
    "calibration": "ranges ignore the other classes",
    "search": "the search cannot tell whether int8 keeps the others",
}
_MOST_NAMED = 3


def one_class(counts: Counts, *, rows: bool) -> list[Finding]:
    """Findings for sets of one class; several sets of the same class share a finding.

    Args:
        counts: class counts of calibration and search set, for an output that gives each window one class.
        rows: windows are rows of an operator's file.
    """
    alone = {split: next(iter(found.items())) for split, found in counts.items() if len(found) == 1 and split in _WHY}
    by_class: dict[int, list[Split]] = {}
    for split, (number, _) in alone.items():
        by_class.setdefault(number, []).append(split)
    return [
        Finding(
            "one_class",
            f"{_windows({split: alone[split][1] for split in splits})} class {number} "
            f"(float's answer): {', and '.join(_WHY[split] for split in splits)}; {_more(rows=rows)}",
            refuse=False,
        )
        for number, splits in by_class.items()
    ]


def _windows(counts: Mapping[Split, int]) -> str:
    """All windows of some sets, as the subject of a sentence, with its verb."""
    if set(counts.values()) == {1}:
        sets = " and ".join(f"the one {split} window" for split in counts)
        return f"{sets} {'is' if len(counts) == 1 else 'are'}"
    return " and ".join(f"all {count} {split}" for split, count in counts.items()) + " windows are"


def class_unseen(counts: Counts, heldout: Mapping[int, int], windows: int, *, rows: bool) -> list[Finding]:
    """A finding for classes that float predicts in held-out windows, but in no calibration or search window.

    Args:
        counts: class counts of calibration and search set; empty: unknown.
        heldout: class → number of held-out windows for which float predicts it.
        windows: number of held-out windows.
        rows: windows are rows of an operator's file.
    """
    known = {number for found in counts.values() for number in found}
    new = sorted(((windows_of, number) for number, windows_of in heldout.items() if number not in known), reverse=True)
    if not known or not new:
        return []
    named = ", ".join(f"class {number} in {count}" for count, number in new[:_MOST_NAMED])
    more = f" and {len(new) - _MOST_NAMED} more classes" if len(new) > _MOST_NAMED else ""
    text = f"of {windows} held-out windows float gives {named}{more}, but in no calibration or search window"
    return [Finding("class_unseen", f"{text}, so ranges and search ignore it; {_more(rows=rows)}", refuse=False)]


def _more(*, rows: bool) -> str:
    if rows:
        return "give rows of the other classes (--calibration)"
    return "capture while the other classes occur (more windows under [recipe])"
