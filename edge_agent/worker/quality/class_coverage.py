"""Do the sets hold the classes that they are to tell apart, by what float gives? Pure: counts in, findings out.

* ``one_class``: all windows of a set are of one class. Of the search set, nothing shows then whether a candidate keeps
  the others; of the calibration set, ranges know nothing of them. (Of the held-out set: ``no_coverage``.)
* ``class_unseen``: a class stands in the held-out set, but in neither calibration nor search.
"""

from collections.abc import Mapping

from edge_agent.worker.data.finding import Finding
from edge_agent.worker.data.split import Split

Counts = Mapping[Split, Mapping[int, int]]
"""Set → class → windows to which float gives it."""
_WHY: dict[Split, str] = {
    "calibration": "ranges know nothing of the others",
    "search": "nothing shows whether int8 keeps the others",
}
_MOST_TOLD = 3


def one_class(counts: Counts, *, rows: bool) -> list[Finding]:
    """The sets of one class; several sets of the same are one finding.

    Args:
        counts: of calibration and search set, of an output that gives each window one class.
        rows: they are rows of an operator's file.
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
    """The classes of the ``windows`` held-out windows that neither ranges nor choice have met.

    Args:
        counts: of calibration and search set; empty: not known.
        heldout: class → held-out windows to which float gives it.
        windows: held-out windows.
        rows: they are rows of an operator's file.
    """
    known = {number for found in counts.values() for number in found}
    new = sorted(((windows_of, number) for number, windows_of in heldout.items() if number not in known), reverse=True)
    if not known or not new:
        return []
    told = ", ".join(f"class {number} in {count}" for count, number in new[:_MOST_TOLD])
    more = f" and {len(new) - _MOST_TOLD} more classes" if len(new) > _MOST_TOLD else ""
    text = f"of {windows} held-out windows float gives {told}{more}, and in no calibration or search window"
    return [Finding("class_unseen", f"{text}: ranges and choice know nothing of it; {_more(rows=rows)}", refuse=False)]


def _more(*, rows: bool) -> str:
    if rows:
        return "give rows of the other classes (--calibration)"
    return "capture while the others happen (more windows under [recipe])"
