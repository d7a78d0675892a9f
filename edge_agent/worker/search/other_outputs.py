"""The outputs of a model beside the one that the gates are about: float's are kept for some windows, int8's compared.

Which ones: all but the judged one and what is carried as state. A model may have outputs of megabytes, so together they
take a bounded part of the disk: where that is not enough for every window, every n-th is kept.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from edge_agent.backends import Array, ModelInfo
from edge_agent.contract.scored_output import ScoredOutput
from edge_agent.jobs.result import GroupError, OutputSummary
from edge_agent.jobs.task import Task
from edge_agent.quant.agreement import Judge, Meaning, resolve_kind
from edge_agent.quant.grouped_metrics import GroupedMetrics
from edge_agent.quant.ruin import ruin
from edge_agent.wire.manifest import Output
from edge_agent.worker.data.float_outputs import OutputStore

_MOST_BYTES = 256 << 20
_MEANING_WINDOWS = 64
_NUMBERS = "fiub"


def other_positions(info: ModelInfo, task: Task) -> list[int]:
    """The places of the outputs that are neither judged nor carried as state."""
    taken = {info.outputs[position].name for position in ScoredOutput(info, task).positions}
    taken |= {state.output for state in task.state}
    return [place for place, spec in enumerate(info.outputs) if spec.name not in taken]


class OtherOutputs:
    """Float's other outputs on one set of windows. Whoever makes one must close it."""

    def __init__(self, info: ModelInfo, task: Task, scratch: Path, windows: int) -> None:
        """Nothing is kept yet.

        Args:
            info: the model.
            task: which output is judged, and which are state.
            scratch: the file beside which the outputs are kept until the set is closed.
            windows: how many there will be.
        """
        self._positions = other_positions(info, task)
        self._names = [info.outputs[position].name for position in self._positions]
        self._stores = [OutputStore(scratch.with_name(f"{scratch.stem}-{place}")) for place in self._positions]
        self._sound = [True] * len(self._positions)
        self._windows = windows
        self._every = 0
        self._judges: list[Judge | None] = []

    def keep(self, number: int, outputs: Sequence[Array]) -> None:
        """Keep float's outputs of window ``number``, counted from 0."""
        mine = [outputs[position] for position in self._positions]
        if not self._every:
            self._every = max(1, math.ceil(sum(one.nbytes for one in mine) * self._windows / _MOST_BYTES))
        if number % self._every:
            return
        for place, output in enumerate(mine):
            self._sound[place] &= output.dtype.kind in _NUMBERS and bool(np.isfinite(output).all()) and output.size > 0
            if self._sound[place]:
                self._stores[place].append(output)

    def compare(self) -> "Comparison":
        """A comparison of one quantized model, from the first window on."""
        if not self._judges:
            self._judges = [
                _judge(store) if sound and len(store) else None
                for store, sound in zip(self._stores, self._sound, strict=True)
            ]
        return Comparison(self._positions, self._names, self._stores, self._judges, self._every)

    def close(self) -> None:
        """Remove what is kept."""
        for store in self._stores:
            store.close()


class Comparison:
    """int8's other outputs against float's, window by window."""

    def __init__(
        self,
        positions: Sequence[int],
        names: Sequence[str],
        stores: Sequence[OutputStore],
        judges: Sequence[Judge | None],
        every: int,
    ) -> None:
        self._every = every
        self._outputs = [
            _Compared(position, name, iter(store), judge)
            for position, name, store, judge in zip(positions, names, stores, judges, strict=True)
            if judge is not None
        ]

    def add(self, number: int, outputs: Sequence[Array]) -> None:
        """Compare int8's outputs of window ``number``."""
        if self._every and number % self._every == 0:
            for one in self._outputs:
                one.add(outputs[one.position])

    def summaries(self) -> list[OutputSummary]:
        """What int8 makes of each output."""
        return [one.summary() for one in self._outputs]


class _Compared:
    def __init__(self, position: int, name: str, references: Iterator[Array], judge: Judge) -> None:
        self.position = position
        self._name = name
        self._references = references
        self._judge = judge
        self._metrics = GroupedMetrics(judge.groups)
        self._windows = self._wrong = 0

    def add(self, output: Array) -> None:
        reference = next(self._references)
        self._windows += 1
        self._wrong += not self._judge.agrees(reference, output)
        if output.shape == reference.shape:
            self._metrics.add(reference, output)

    def summary(self) -> OutputSummary:
        kind, metrics = self._judge.meaning.kind, self._metrics
        why = ruin(kind, self._windows, self._wrong, metrics.sqnr_db, metrics.worst) if self._judge.varies else ""
        return summarise(self._name, self._judge.meaning, self._windows, self._wrong, metrics, why)


def summarise(
    name: str, meaning: Meaning, windows: int, wrong: int, metrics: GroupedMetrics, why: str = ""
) -> OutputSummary:
    """What is said of one output; ``why`` it is ruined, if it is."""
    return OutputSummary(
        name=name,
        kind=meaning.kind,
        found=meaning.found,
        windows=windows,
        disagreements=wrong,
        agreement=1 - wrong / windows if windows else None,
        sqnr_db=metrics.sqnr_db,
        groups=[
            GroupError(channels=group.name, peak=group.peak, sqnr_db=sqnr_db) for group, sqnr_db in metrics.groups()
        ],
        ruined=bool(why),
        message=why,
    )


def _judge(store: OutputStore) -> Judge:
    judge = Judge(resolve_kind(Output(), list(islice(store, _MEANING_WINDOWS)), None))
    for reference in store:
        judge.observe(reference)
    return judge
