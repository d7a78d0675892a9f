"""Float's answers for calibration and search rows: one pass of the pushed model before any range is taken.

The pass runs no held-out row and no row twice. It stores a few numbers of each row (:func:`.regimes.describe`) and the
classes that float gives it, so memory grows by about 150 bytes per row. Small outputs are stored as well, so that the
search need not run float over its rows again. If rows may not change places and the output has no classes, further rows
would add no information, and the pass ends after the first ones.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_agent.backends import Array, ModelInfo, Session
from edge_agent.contract import first_output
from edge_agent.contract.carried_state import CarriedState
from edge_agent.contract.scored_output import ScoredOutput
from edge_agent.jobs.task import Task
from edge_agent.quant.agreement import Judge, resolve_kind, says_enough
from edge_agent.worker.data.dataset import DataSet
from edge_agent.worker.data.division import Division
from edge_agent.worker.data.label_sample import label_sample
from edge_agent.worker.data.regimes import describe, rarest, search_rows, unusual
from edge_agent.worker.data.split import Split
from edge_agent.worker.search.other_outputs import other_positions

POOL: tuple[Split, ...] = ("calibration", "search")
Classes = tuple[int, ...]
_ONE_EACH = ("classes", "binary", "anomaly")
_KEPT_BYTES = 16 << 20
"""Memory limit for the outputs of the whole pool."""


@dataclass(slots=True)
class FloatAnswers:
    """The results for each row of the pool, calibration rows first, in reading order.

    Attributes:
        sizes: the number of rows in each set.
        rows: the place of each row in its file.
        classes: the classes that float gives each row; empty if the output has no classes.
        described: a few numbers of each row; None if rows may not change places.
        one_each: whether the output gives each window one class, as a classifier's does.
        outputs: the judged output of each row; empty if it is too large to store or the search needs other outputs too.
    """

    sizes: dict[Split, int]
    rows: NDArray[np.int64]
    classes: list[Classes] = field(default_factory=list)
    described: NDArray[np.float32] | None = None
    one_each: bool = False
    outputs: list[Array] = field(default_factory=list)

    def division(self, seed: int) -> Division | None:
        """A new division of the rows with each regime in both sets; None if rows may not change places."""
        if self.described is None:
            return None
        order = np.argsort(self.rows, kind="stable")  # makes the result independent of the earlier division
        strata = rarest(self.classes)[order] if self.classes else np.zeros(len(order), np.int64)
        taken = search_rows(strata, unusual(self.described)[order], self.sizes["search"], seed=seed)
        rows = self.rows[order]
        return Division(calibration=rows[~taken].tolist(), search=rows[taken].tolist())

    def counts(self, division: Division | None) -> dict[Split, dict[int, int]]:
        """Set → class → number of rows to which float gives it; the sets are those of ``division``, if given."""
        if not self.classes:
            return {}
        found: dict[Split, Counter[int]] = {split: Counter() for split in POOL}
        for in_search, given in zip(self._searched(division).tolist(), self.classes, strict=True):
            found["search" if in_search else "calibration"].update(given)
        return {split: dict(sorted(counted.items())) for split, counted in found.items()}

    def of_search(self, division: Division | None) -> list[Array]:
        """The judged output of each search row, in the order in which the search reads them; empty if not stored."""
        places = np.flatnonzero(self._searched(division))
        if division is not None:  # rows are read in ascending order
            places = places[np.argsort(self.rows[places], kind="stable")]
        return [self.outputs[place] for place in places.tolist()] if self.outputs else []

    def _searched(self, division: Division | None) -> NDArray[np.bool_]:
        """The mask of the rows that belong to the search set."""
        if division is not None:
            return np.isin(self.rows, division.search)
        return np.arange(len(self.rows)) >= self.sizes["calibration"]


def ask_float(
    session: Session, info: ModelInfo, data: DataSet, task: Task, on_row: Callable[[int], None]
) -> FloatAnswers:
    """Run float over the pool.

    Args:
        session: the pushed model.
        info: the model's inputs and outputs.
        data: the sets.
        task: the judged output and the state.
        on_row: called with the number of rows done.

    Raises:
        ContractError: ``shape_mismatch``: the output does not fit its kind.
    """
    sizes = {split: data.count(split) for split in POOL}
    answers = FloatAnswers(sizes, np.zeros(sum(sizes.values()), np.int64))
    windows = _Windows(session, info, data, task)
    searched = windows.of("search")
    sample = _sample(searched)
    judge = _judge_of_classes(task, data, [one.output for one in sample])
    if judge is None and not data.exchangeable:
        return answers
    pool = _Pool(answers, judge, keeps=not other_positions(info, task) and len(task.outputs) <= 1)
    first, seen = sizes["calibration"], len(sample)
    for place in range(first, first + seen):
        pool.add(place, sample.pop(0))  # release each output, as outputs may be large
    rest = chain(enumerate(windows.of("calibration")), enumerate(searched, first + seen))
    for done, (place, one) in enumerate(rest, seen + 1):
        pool.add(place, one)
        on_row(done)
    return answers


def classes_given(judge: Judge, output: Array) -> Classes:
    """The classes that float gives a window or the objects in it; empty if the classes have no numbers."""
    if not np.isfinite(output).all():
        return ()
    return tuple(sorted(one for one in judge.kept_classes(output, output) if isinstance(one, int)))


class _Answer(NamedTuple):
    """One row: its place in its file, float's judged output, and a few numbers of the row, if requested."""

    row: int
    output: Array
    described: NDArray[np.float32] | None


class _Windows:
    """Float's answers, window by window."""

    def __init__(self, session: Session, info: ModelInfo, data: DataSet, task: Task) -> None:
        self._session = session
        self._info = info
        self._data = data
        self._task = task
        self._judged = ScoredOutput(info, task)
        self._describes = data.exchangeable

    def of(self, split: Split) -> Iterator[_Answer]:
        carried = CarriedState(self._task.state, self._info)
        for row in self._data.rows(split):
            feeds = carried.feeds(row)
            outputs = self._session.run(feeds)
            carried.keep(outputs)
            output, numbers = self._judged(feeds, outputs), None
            if self._describes:
                numbers = describe([output, *(one for one in feeds.values() if one.dtype.kind in "fiu")])
            yield _Answer(row.index, output, numbers)


def _sample(answers: Iterator[_Answer]) -> list[_Answer]:
    """The first answers, enough to determine the output kind."""
    sample: list[_Answer] = []
    size = 0
    for one in answers:
        sample.append(one)
        size += one.output.nbytes
        if says_enough(len(sample), size):
            break
    return sample


def _judge_of_classes(task: Task, data: DataSet, sample: list[Array]) -> Judge | None:
    """The judge that names float's classes, as in the search; None if the output has no classes."""
    judge = Judge(resolve_kind(first_output(task), sample, label_sample(data)))
    boxes = judge.counts_by_class(sample[0], sample[0])
    return None if boxes is None and not any(classes_given(judge, one) for one in sample) else judge


class _Pool:
    """Fills ``answers``, one row at a time, in any order."""

    def __init__(self, answers: FloatAnswers, judge: Judge | None, *, keeps: bool) -> None:
        self._answers = answers
        self._judge = judge
        self._keeps = keeps
        self._met: dict[Classes, Classes] = {}
        if judge is not None:
            answers.classes = [()] * len(answers.rows)
            answers.one_each = judge.meaning.kind in _ONE_EACH

    def add(self, place: int, one: _Answer) -> None:
        answers = self._answers
        answers.rows[place] = one.row
        if self._judge is not None:
            given = classes_given(self._judge, one.output)
            answers.classes[place] = self._met.setdefault(given, given)  # one object for all rows of a class
            answers.one_each = answers.one_each and len(given) == 1
        if one.described is not None:
            if answers.described is None:
                answers.described = np.zeros((len(answers.rows), len(one.described)), np.float32)
            answers.described[place] = one.described
        self._keep(place, one.output)

    def _keep(self, place: int, output: Array) -> None:
        outputs, rows = self._answers.outputs, len(self._answers.rows)
        like = outputs[0] if outputs else output
        same = output.shape == like.shape and output.dtype == like.dtype
        self._keeps = self._keeps and same and output.nbytes * rows <= _KEPT_BYTES
        if not self._keeps:
            outputs.clear()
        else:
            kept = output.copy()  # a runtime's own array keeps the memory of its calls alive
            outputs.extend([kept] * (rows - len(outputs)))
            outputs[place] = kept
