"""What float itself says of calibration and search rows: one pass of the pushed model before any range is taken.

No held-out row is run. What is kept of a row are a few numbers (:func:`.regimes.describe`) and the classes that float
gives it, so memory grows by about 150 bytes a row. Where rows may not change places and the output has no classes,
nothing could be learnt of more than the first rows, and the pass ends with them.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from edge_agent.backends import Array, Feeds, ModelInfo, Session
from edge_agent.contract import first_output
from edge_agent.contract.carried_state import CarriedState
from edge_agent.contract.scored_output import ScoredOutput
from edge_agent.jobs.task import Task
from edge_agent.quant.agreement import MEANING_WINDOWS, Judge, resolve_kind
from edge_agent.worker.data.dataset import DataSet, Row
from edge_agent.worker.data.division import Division
from edge_agent.worker.data.label_sample import label_sample
from edge_agent.worker.data.regimes import describe, rarest, search_rows, unusual
from edge_agent.worker.data.split import Split

POOL: tuple[Split, ...] = ("calibration", "search")
Classes = tuple[int, ...]
_ONE_EACH = ("classes", "binary", "anomaly")


@dataclass(slots=True)
class FloatAnswers:
    """What became of each row of the pool, calibration's first, in the order in which they were read.

    Attributes:
        sizes: rows of each set.
        rows: the place of each in its file.
        classes: those that float gives it; empty where the output has no classes.
        described: a few numbers of it; None where rows may not change places.
        one_each: the output gives each window one class, as a classifier's does.
    """

    sizes: dict[Split, int]
    rows: NDArray[np.int64]
    classes: list[Classes] = field(default_factory=list)
    described: NDArray[np.float32] | None = None
    one_each: bool = False

    def division(self, seed: int) -> Division | None:
        """The rows divided anew, so that each regime is in both sets; None where they may not change places."""
        if self.described is None:
            return None
        order = np.argsort(self.rows, kind="stable")  # so that it does not matter how they were divided before
        strata = rarest(self.classes)[order] if self.classes else np.zeros(len(order), np.int64)
        taken = search_rows(strata, unusual(self.described)[order], self.sizes["search"], seed=seed)
        rows = self.rows[order]
        return Division(calibration=rows[~taken].tolist(), search=rows[taken].tolist())

    def counts(self, division: Division | None) -> dict[Split, dict[int, int]]:
        """Set → class → rows to which float gives it; with ``division`` as that divides them."""
        if not self.classes:
            return {}
        searched = np.arange(len(self.rows)) >= self.sizes["calibration"]
        if division is not None:
            searched = np.isin(self.rows, division.search)
        found: dict[Split, Counter[int]] = {split: Counter() for split in POOL}
        for in_search, given in zip(searched.tolist(), self.classes, strict=True):
            found["search" if in_search else "calibration"].update(given)
        return {split: dict(sorted(counted.items())) for split, counted in found.items()}


def ask_float(
    session: Session, info: ModelInfo, data: DataSet, task: Task, on_row: Callable[[int], None]
) -> FloatAnswers:
    """Run float over the pool.

    Args:
        session: the pushed model.
        info: its ends.
        data: the sets.
        task: which output is judged, and state.
        on_row: told how many rows are done.

    Raises:
        ContractError: ``shape_mismatch``: the output is not what its kind says.
    """
    sizes = {split: data.count(split) for split in POOL}
    answers = FloatAnswers(sizes, np.zeros(sum(sizes.values()), np.int64))
    windows = _Windows(session, info, data, task)
    judge = windows.judge_of_classes()
    exchangeable = data.exchangeable
    if judge is None and not exchangeable:
        return answers
    met: dict[Classes, Classes] = {}
    for place, (row, feeds, output) in enumerate(chain.from_iterable(windows.of(split) for split in POOL)):
        answers.rows[place] = row.index
        if judge is not None:
            given = classes_given(judge, output)
            answers.classes.append(met.setdefault(given, given))  # one object for all rows of a class
            answers.one_each = (answers.one_each or not place) and len(given) == 1 and judge.meaning.kind in _ONE_EACH
        if exchangeable:
            numbers = describe([output, *(one for one in feeds.values() if one.dtype.kind in "fiu")])
            if answers.described is None:
                answers.described = np.zeros((len(answers.rows), len(numbers)), np.float32)
            answers.described[place] = numbers
        on_row(place + 1)
    return answers


def classes_given(judge: Judge, output: Array) -> Classes:
    """The classes that float gives a window: its own, or those of what is in it; none where they have no numbers."""
    if not np.isfinite(output).all():
        return ()
    return tuple(sorted(one for one in judge.kept_classes(output, output) if isinstance(one, int)))


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
        judge = Judge(resolve_kind(first_output(self._task), sample, label_sample(self._data)))
        boxes = judge.counts_by_class(sample[0], sample[0])
        return None if boxes is None and not any(classes_given(judge, one) for one in sample) else judge
