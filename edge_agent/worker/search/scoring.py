"""Measures how far a quantized model is from the original float file on one set of windows.

The float outputs are computed once per stage and stored on disk (:mod:`edge_agent.worker.data.float_outputs`). Each
candidate then runs over the same rows, one at a time: over all of them in their order, or in the order of
:mod:`.window_order` and only until it is clear that it cannot pass. The reference is always the model as it was pushed
and never the prepared one.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from edge_agent.backends import Array, Backend, Session
from edge_agent.contract import first_output
from edge_agent.contract.carried_state import CarriedState
from edge_agent.contract.scored_output import ScoredOutput
from edge_agent.errors import Refusal
from edge_agent.jobs.task import Task
from edge_agent.quant.agreement import Judge, Meaning, first_of, resolve_kind
from edge_agent.wire.manifest import Output
from edge_agent.worker.data.dataset import DataSet
from edge_agent.worker.data.float_outputs import OutputStore
from edge_agent.worker.data.kept_rows import KeptRows
from edge_agent.worker.data.split import Split
from edge_agent.worker.search.other_outputs import OtherOutputs
from edge_agent.worker.search.score import Score
from edge_agent.worker.search.scorer import OnLabel, Run, Scorer
from edge_agent.worker.search.window_order import FIRST, in_order, sweeps

OnRow = Callable[[int], None]
"""Called after each row with the number of rows done."""
GoesOn = Callable[[Score], bool]
"""Returns whether a pass is worth continuing, given its result so far."""


class ReferenceOutputs:
    """One set of windows with the float model's judged output for each.

    Use as a context manager: the outputs are stored in a scratch file.

    Attributes:
        windows: the number of windows.
        others: the model's other outputs.
    """

    def __init__(self, backend: Backend, model: Path, data: DataSet, split: Split, task: Task, scratch: Path) -> None:
        """Open the set; nothing runs yet.

        Args:
            backend: the backend of the model's format.
            model: the float model as pushed.
            data: the source of the rows.
            split: the set to open.
            task: declared state and the output to judge.
            scratch: the file that stores the outputs until the set is closed.
        """
        self._backend = backend
        self._data = data
        self._split = split
        self._rows = KeptRows(data, split)
        self._task = task
        self._info = backend.inspect(model)
        self._model = model
        self._judged = ScoredOutput(self._info, task)
        self._store = OutputStore(scratch)
        self.windows = data.count(split)
        self.others = OtherOutputs(self._info, task, scratch, self.windows)

    def run(self, on_row: OnRow, *, runtime: str, known: Array | None = None) -> None:
        """Compute the float outputs.

        Args:
            on_row: called with the number of rows done.
            runtime: the runtime for float.
            known: ``[windows, ...]``, the judged output of each window, if float has already run over them on that
                runtime and the model has no other outputs. With None or another length, float runs.

        Raises:
            Refusal: ``non_finite``: the float model itself returns NaN or Inf.
        """
        if known is not None and len(known) == self.windows:
            for done, output in enumerate(known, start=1):
                self._keep(done, output)
            return
        session = self._backend.open(self._model, runtime=runtime)
        for done, one in enumerate(self._runs(session, in_order(self.windows)), 1):
            self.others.keep(one.place, one.feeds, one.outputs)
            self._keep(done, one.judged)
            on_row(done)

    def _keep(self, done: int, output: Array) -> None:
        if not np.isfinite(output).all():
            text = f"float's own output for {self._split} window {done} is NaN or Inf"
            raise Refusal("non_finite", f"{text}; check the model and its inputs")
        self._store.append(output)

    def meaning(self, output: Output, labels: Sequence[Any] | None) -> Meaning:
        """The meaning of the output, from the first of float's outputs and the labels, if any."""
        return resolve_kind(output, first_of(self._store), labels)

    def judge(self, meaning: Meaning) -> Judge:
        """A judge that has seen all of float's outputs."""
        return Judge.having_seen(meaning, self._store)

    def answers(self) -> Iterator[Array]:
        """Float's judged output, window by window, once it has run."""
        return iter(self._store)

    def score(
        self,
        target: Path,
        judge: Judge,
        on_row: OnRow,
        *,
        runtime: str,
        on_label: OnLabel | None = None,
        goes_on: GoesOn | None = None,
    ) -> Score:
        """Run a quantized model over the set on the runtime that would serve it; compare with float.

        Args:
            target: the model.
            judge: a judge that has seen float's outputs.
            on_row: called with the number of rows done.
            runtime: the runtime that would serve the model.
            on_label: called for each labelled row.
            goes_on: called after each window that counts against the model. With it, windows come in the order of
                :func:`.window_order.sweeps`, and the pass may end early. None: all windows run, in their order.
        """
        found_out = first_output(self._task).kind is None
        scorer = Scorer(judge, self.others, kind_found=found_out, on_label=on_label)
        order = in_order(self.windows) if goes_on is None else self._order()
        for done, one in enumerate(self._runs(self._backend.open(target, runtime=runtime), order), 1):
            right = scorer.add(one, self._store[one.place])
            on_row(done)
            if goes_on is not None and not right and done >= FIRST and not goes_on(scorer.score):
                break
        return scorer.finished(self._info.outputs[self._judged.position].name)

    def _order(self) -> list[Sequence[int]]:
        """A permutation of the windows, unless state carries over through the whole set."""
        groups, states = self._data.groups(self._split), self._task.state
        if None in groups or any(state.reset == "never" for state in states):
            given = next(iter(self._data.rows(self._split))).feeds  # state that the rows bring is not carried
            if any(state.input not in given for state in states):
                return in_order(self.windows)
        return sweeps(groups)

    def _runs(self, session: Session, order: Sequence[Sequence[int]]) -> Iterator[Run]:
        """Yield each window's run, sweep by sweep. State resets at each recording, so their order does not matter."""
        carried = CarriedState(self._task.state, self._info)
        for places in order:
            for place, row in zip(places, self._rows(places), strict=True):
                feeds = carried.feeds(row)
                outputs = session.run(feeds)
                carried.keep(outputs)
                yield Run(place, row, feeds, outputs, self._judged(feeds, outputs))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._store.close()
        self.others.close()
