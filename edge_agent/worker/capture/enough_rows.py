"""Checks that an operator's files have enough rows to prove the gates, before any row is read. Pure.

A job is refused if it has fewer rows than could possibly prove the gates: with no error and, if labels decide, with one
row that int8 gets right and float gets wrong. The message names the number of rows that proves the gates without such
luck. A number in between causes a warning. Rows of one recording resemble each other and may count as fewer, so for
them the number is a minimum.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edge_agent.contract import first_output
from edge_agent.errors import Refusal
from edge_agent.jobs.labelled_rows import LUCK, rows_for
from edge_agent.jobs.task import Task
from edge_agent.quant.bounds import CONFIDENCE, windows_needed
from edge_agent.quant.findings import NEVER_PROVED, percent
from edge_agent.quant.limits import MIN_AGREEMENT, resolve_gates
from edge_agent.wire.manifest import LABELLED_KINDS, OutputKind
from edge_agent.worker.data.split import MAX_HELDOUT, SPLITS, Split

_NAMES = {"calibration": "calibration", "search": "search", "heldout": "held-out"}
_BEST, _BEST_IN_ALL = 300, 1000
_LOOSEST_AGREEMENT, _LOOSEST_DROP = 0.8, 0.1
"""No looser limit is suggested, because its proof would be worthless."""


@dataclass(frozen=True, slots=True)
class Needed:
    """The rows that a gate needs.

    ``rows``: the fewest independent rows that can prove the gate; ``enough``: rows that prove it whatever the labels;
    ``what``: the gate in words; ``looser``: rows → the setting of a looser gate that they prove, empty if none is
    worthwhile.
    """

    rows: int = 1
    enough: int = 1
    what: str = ""
    looser: Callable[[int], str] = lambda _rows: ""


@dataclass(frozen=True, slots=True)
class RowsGiven:
    """The rows of the operator's files, from the files' headers and the division.

    Attributes:
        counts: number of rows in each set.
        labelled: whether the held-out rows have labels.
        heldout_apart: whether the held-out rows are in a separate file.
        dependent: whether rows belong to recordings, so that they may count as fewer.
    """

    counts: Mapping[Split, int]
    labelled: bool
    heldout_apart: bool
    dependent: bool


def check_enough(task: Task, given: RowsGiven) -> None:
    """Raise ``Refusal`` (too_few_windows), with each set's present and needed rows, if held-out rows are too few."""
    needed = heldout_needed(task, labelled=given.labelled)
    have = given.counts["heldout"]
    if have >= needed.rows:
        return
    least = "at least " if given.dependent else ""
    sets = [f"{_NAMES[split]} {given.counts[split]} (needs 1)" for split in SPLITS if split != "heldout"]
    sets.append(f"held-out {have} (needs {least}{needed.enough}{needed.what})")
    raise Refusal("too_few_windows", f"too few rows: {', '.join(sets)}; {_remedy(given, needed)}")


def few_rows(task: Task, given: RowsGiven) -> list[str]:
    """A warning if the held-out rows prove accuracy only with luck."""
    needed, have = heldout_needed(task, labelled=given.labelled), given.counts["heldout"]
    if have >= needed.enough:
        return []
    few = f"{have} held-out rows are few{needed.what}"
    return [f"{few}: without an error that takes {needed.enough}, and {LUCK}; {_remedy(given, needed)}"]


def heldout_needed(task: Task, *, labelled: bool) -> Needed:
    """The fewest independent held-out rows that prove all gates without an error, for any kind of the output.

    Raises:
        Refusal: ``too_few_windows``: no number of rows proves the required agreement.
    """
    kind = first_output(task).kind
    kinds: tuple[OutputKind, ...] = ("classes", "raw") if kind is None else (kind,)
    return min((_of_kind(task, one, labelled=labelled) for one in kinds), key=lambda needed: needed.rows)


def _of_kind(task: Task, kind: OutputKind, *, labelled: bool) -> Needed:
    limits = resolve_gates(task.gates, kind, labelled=labelled and kind in LABELLED_KINDS)
    agreement, drop = limits.min_agreement, limits.max_accuracy_drop
    if not agreement and len(task.outputs) > 1:
        agreement = MIN_AGREEMENT  # the other outputs need it
    if agreement >= 1.0:
        raise Refusal("too_few_windows", NEVER_PROVED)
    needs = [Needed()]
    if agreement:
        what = f" to prove an agreement of {percent(agreement)}"
        windows = windows_needed(agreement)
        needs.append(Needed(windows, windows, what, _looser_agreement))
    if drop and not task.eval:  # a labelled set that came with the model proves the drop instead
        what = f" to prove an accuracy drop of at most {percent(drop)}"
        rows = rows_for(drop)
        needs.append(Needed(rows.fewest, rows.enough, what, _looser_drop))
    return max(needs, key=lambda needed: (needed.rows, needed.enough))


def _looser_agreement(rows: int) -> str:
    limit = math.floor(100 * (1.0 - CONFIDENCE) ** (1 / rows)) / 100 if rows else 0.0
    return f"min_agreement = {limit:g}" if limit >= _LOOSEST_AGREEMENT else ""


def _looser_drop(rows: int) -> str:
    drops = (percent / 100 for percent in range(1, 1 + round(100 * _LOOSEST_DROP)))
    enough = next((drop for drop in drops if rows_for(drop).enough <= rows), None)
    return "" if enough is None else f"max_accuracy_drop = {enough:g}"


def _remedy(given: RowsGiven, needed: Needed) -> str:
    """The rows to give, or the gate to set instead."""
    rows = needed.enough
    if given.heldout_apart:
        remedies = [f"give {rows} or more (--heldout), best {_BEST}"]
    elif rows > MAX_HELDOUT:
        remedies = [f"give {rows} or more in a separate file (--heldout)"]
    else:
        remedies = [
            f"give {2 * rows} rows or more (--calibration), best {_BEST_IN_ALL}",
            f"{rows} or more in a separate file (--heldout)",
        ]
    if looser := needed.looser(given.counts["heldout"]):
        remedies.append(f"set [gates] {looser}")
    return ", or ".join(remedies)
