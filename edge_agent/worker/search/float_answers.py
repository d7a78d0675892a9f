"""What float itself says of calibration and search rows: one pass of the pushed model before any range is taken.

No held-out row is run. What is kept of a row are a few numbers (:func:`.regimes.describe`) and the classes that float
gives it, so memory grows by some hundred bytes a row. Where rows may not change places and the output has no classes,
nothing could be learnt of more than the first rows, and the pass ends with them.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from edge_agent.backends import Array, Feeds, ModelInfo, Session
from edge_agent.contract import first_output
from edge_agent.contract.carried_state import CarriedState
from edge_agent.contract.scored_output import ScoredOutput
from edge_agent.errors import ContractError
from edge_agent.jobs.task import Task
from edge_agent.quant.agreement import MEANING_WINDOWS, Judge, resolve_kind
from edge_agent.worker.data.dataset import DataSet, Row
from edge_agent.worker.data.division import Division
from edge_agent.worker.data.label_sample import label_sample
from edge_agent.worker.data.regimes import describe, rarest, search_rows, unusual
from edge_agent.worker.data.split import Split

POOL: tuple[Split, ...] = ("calibration", "search")
Classes = tuple[int, ...]


@dataclass(slots=True)
class FloatAnswers:
    """What became of each row of the pool, calibration's first, in the order in which they were read.

    Attributes:
        rows: its place in its file.
        splits: the set that it was in.
        classes: those that float gives it; none where the output has no classes.
        described: a few numbers of it; empty where rows may not change places.
        one_each: the output gives each window one class, as a classifier's does.
    """

    rows: list[int] = field(default_factory=list)
    splits: list[Split] = field(default_factory=list)
    classes: list[Classes] = field(default_factory=list)
    described: list[NDArray[np.float32]] = field(default_factory=list)
    one_each: bool = False

    def division(self) -> Division:
        """The rows divided anew, so that each regime is in both sets."""
        order = np.argsort(self.rows, kind="stable")
        away, strata = unusual(np.stack(self.described)[order]), rarest(self.classes)[order]
        taken = search_rows(strata, away, self.splits.count("search"))
        rows = np.array(self.rows)[order]
        return Division(calibration=rows[~taken].tolist(), search=rows[taken].tolist())

    def counts(self, division: Division | None) -> dict[Split, dict[int, int]]:
        """Set → class → rows to which float gives it; with ``division`` as that divides them."""
        if not any(self.classes):
            return {}
        search = set() if division is None else set(division.search)
        found: dict[Split, Counter[int]] = {split: Counter() for split in POOL}
        for row, split, given in zip(self.rows, self.splits, self.classes, strict=True):
            now = split if division is None else ("search" if row in search else "calibration")
            found[now].update(set(given))
        return {split: dict(sorted(counted.items())) for split, counted in found.items()}


def ask_float(
    session: Session, info: ModelInfo, data: DataSet, task: Task, on_row: Callable[[int], None]
) -> FloatAnswers:
    """Run float over the pool; ``on_row`` is told how many rows are done."""
    answers, windows = FloatAnswers(), _Windows(session, info, data, task)
    judge = windows.judge_of_classes()
    exchangeable = data.exchangeable
    if judge is None and not exchangeable:
        return answers
    for split in POOL:
        for row, feeds, output in windows.of(split):
            answers.rows.append(row.index)
            answers.splits.append(split)
            answers.one_each = judge is not None and judge.named_class(output) is not None
            answers.classes.append(() if judge is None else classes_given(judge, output))
            if exchangeable:
                answers.described.append(
                    describe([output, *(one for one in feeds.values() if one.dtype.kind in "fiu")])
                )
            on_row(len(answers.rows))
    return answers


def classes_given(judge: Judge, output: Array) -> Classes:
    """The classes that float gives a window: its own, or those of the boxes in it; none where it gives none."""
    if not np.isfinite(output).all():
        return ()
    named = judge.named_class(output)
    if named is not None:
        return (named,)
    boxes = judge.counts_by_class(output, output) or {}
    return tuple(sorted(number for number, one in boxes.items() if one.reference))


class _Windows:
    """Float's judged output, window by window."""

    def __init__(self, session: Session, info: ModelInfo, data: DataSet, task: Task) -> None:
        self._session = session
        self._info = info
        self._data = data
        self._task = task
        self._judged = ScoredOutput(info, task)

    def of(self, split: Split) -> Iterator[tuple[Row, Feeds, Array]]:
        carried = CarriedState(self._task.state, self._info)
        for row in self._data.rows(split):
            feeds = carried.feeds(row)
            outputs = self._session.run(feeds)
            carried.keep(outputs)
            yield row, feeds, self._judged(feeds, outputs)

    def judge_of_classes(self) -> Judge | None:
        """Who says which classes float gives, as the search will find it; None: the output has none."""
        sample = [output for _, _, output in islice(self.of("search"), MEANING_WINDOWS)]
        try:
            judge = Judge(resolve_kind(first_output(self._task), sample, label_sample(self._data)))
            named = judge.named_class(sample[0])
            return judge if named is not None or judge.counts_by_class(sample[0], sample[0]) is not None else None
        except ContractError:  # what does not fit, the search says
            return None
