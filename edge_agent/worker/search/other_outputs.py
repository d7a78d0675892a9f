"""Compares the outputs of a model besides the judged one: float's outputs are stored for some windows.

These are all outputs except the judged one and those carried as state. A model may have outputs of megabytes, so the
unnamed outputs together use a bounded part of the disk (:mod:`edge_agent.worker.data.window_quota`).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from edge_agent.backends import Array, Feeds, ModelInfo
from edge_agent.contract.scored_output import ScoredOutput
from edge_agent.errors import ContractError, Refusal
from edge_agent.jobs.measured_outputs import GroupError, OutputSummary
from edge_agent.jobs.task import Task
from edge_agent.quant.agreement import Judge, Meaning, first_of, resolve_kind
from edge_agent.quant.bounds import CONFIDENCE
from edge_agent.quant.class_recall import ClassCounts, told
from edge_agent.quant.dependence import design_effect, effective_windows
from edge_agent.quant.detection.kept import KeptBoxes, with_detections
from edge_agent.quant.findings import Measured
from edge_agent.quant.grouped_metrics import GroupedMetrics
from edge_agent.quant.limits import MIN_AGREEMENT
from edge_agent.quant.ruin import judge_named, ruin
from edge_agent.wire.manifest import Gates, Output
from edge_agent.worker.data.float_outputs import OutputStore
from edge_agent.worker.data.window_quota import WindowQuota

_NUMBERS = "fiub"
_WHY_NOT = {
    "": "",
    "constant": "float's values are constant but for rounding",
    "zero": "float's values are practically zero",
    "seldom": "a few of many features, which are almost always zero",
}


def other_positions(info: ModelInfo, task: Task) -> list[int]:
    """The positions of the outputs that are neither judged nor carried as state."""
    taken = {info.outputs[position].name for position in ScoredOutput(info, task).positions}
    taken |= {state.output for state in task.state}
    return [place for place, spec in enumerate(info.outputs) if spec.name not in taken]


class OtherOutputs:
    """Float's other outputs on one set of windows. The caller must call :meth:`close`."""

    def __init__(self, info: ModelInfo, task: Task, scratch: Path, windows: int) -> None:
        """Store nothing yet.

        Args:
            info: the model.
            task: the judged output, the other named outputs, and the state.
            scratch: the outputs are stored next to this file until the set is closed.
            windows: the number of windows in the set.
        """
        named = [(ScoredOutput(info, task, output), output) for output in task.outputs[1:]]
        covered = {position for take, _ in named for position in take.positions}
        rest = [place for place in other_positions(info, task) if place not in covered]
        alone = [(ScoredOutput(info, task, Output(name=info.outputs[place].name)), None) for place in rest]
        self._ports = [
            _Port(
                take, asked, info.outputs[take.position].name, OutputStore(scratch.with_name(f"{scratch.stem}-{place}"))
            )
            for place, (take, asked) in enumerate([*named, *alone])
        ]
        self._quota = WindowQuota(scratch.parent, windows)

    def settle(self, meanings: Mapping[str, Output]) -> None:
        """Set the known meanings, by output name; an unknown meaning is found from the windows."""
        for port in self._ports:
            port.known = meanings.get(port.name)

    def meanings(self) -> dict[str, Output]:
        """The meanings of the outputs with every default filled in, except outputs that float leaves undefined."""
        return {port.name: port.judge.meaning.output for port in self._ports if port.judge is not None}

    @property
    def undefined(self) -> list[str]:
        """The outputs that float leaves undefined, once it has run; int8 is not compared there."""
        return [port.name for port in self._ports if port.judge is None]

    def keep(self, number: int, feeds: Feeds, outputs: Sequence[Array]) -> None:
        """Store float's outputs of window ``number``, counted from 0."""
        unnamed = sum(outputs[port.take.position].nbytes for port in self._ports if port.asked is None)
        kept = self._quota.take(number, unnamed)
        for port in self._ports:
            if port.asked is not None or kept:
                port.keep(port.take(feeds, outputs))

    def compare(self) -> "Comparison":
        """Start the comparison of one quantized model."""
        return Comparison(self._ports, self._quota.taken)

    def close(self) -> None:
        """Remove the stored outputs."""
        for port in self._ports:
            port.store.close()


@dataclass(slots=True)
class _Port:
    """One output: how it is taken from a run, its entry in the manifest, and float's values."""

    take: ScoredOutput
    asked: Output | None
    name: str
    store: OutputStore
    known: Output | None = None
    """The meaning of the output, if it was found before."""
    _sound: bool = True
    _judge: Judge | None = None

    def keep(self, output: Array) -> None:
        sound = output.dtype.kind in _NUMBERS and bool(np.isfinite(output).all()) and output.size > 0
        if not sound and self.asked is not None:
            raise Refusal("non_finite", f"float's own output {self.name!r} is NaN, Inf or empty; check the model")
        self._sound &= sound
        if self._sound:
            self.store.append(output)

    @property
    def judge(self) -> Judge | None:
        """The judge of this output; None if float itself leaves the output undefined."""
        if self._judge is None and self._sound and len(self.store):
            try:
                self._judge = self._made()
            except ContractError:  # for example a shape that depends on the data
                if self.asked is not None:
                    raise
                self._sound = False
        return self._judge if self._sound else None

    def _made(self) -> Judge:
        meaning = resolve_kind(self.known or self.asked or Output(), first_of(self.store), None)
        return Judge.having_seen(meaning, self.store)


class Comparison:
    """int8's other outputs against float's, window by window."""

    def __init__(self, ports: Sequence[_Port], kept: Collection[int]) -> None:
        self._kept = {number: place for place, number in enumerate(sorted(kept))}
        self._outputs = [_Compared(port, judge) for port in ports if (judge := port.judge) is not None]

    def add(self, number: int, group: int | None, feeds: Feeds, outputs: Sequence[Array]) -> None:
        """Compare int8's outputs of window ``number``, which belongs to the recording ``group``."""
        for one in self._outputs:
            place = number if one.port.asked is not None else self._kept.get(number)
            if place is not None:
                one.add(place, group, one.port.take(feeds, outputs))

    def summaries(self, gates: Gates, *, in_time: bool | None, confidence: float = CONFIDENCE) -> list[OutputSummary]:
        """The summary of each output of int8.

        Args:
            gates: the manifest's gates, for the outputs that it names.
            in_time: whether held-out windows follow each other in time; None: these are search windows.
            confidence: of the proof on held-out windows.
        """
        return [one.summary(gates, in_time=in_time, confidence=confidence) for one in self._outputs]


class _Compared:
    def __init__(self, port: _Port, judge: Judge) -> None:
        self.port = port
        self._judge = judge
        self._metrics = GroupedMetrics(judge.groups)
        self._boxes = KeptBoxes()
        self._agreed: list[bool] = []
        self._nearness: list[float] = []
        self._groups: list[int | None] = []
        self._classes = ClassCounts()
        self._broken = 0

    def add(self, place: int, group: int | None, output: Array) -> None:
        reference = self.port.store[place]
        if (counts := self._judge.counts_by_class(reference, output)) is not None:
            self._boxes.add(counts)
        same_shape = output.shape == reference.shape
        finite = bool(np.isfinite(output).all())
        agreed = self._agrees(reference, output) if same_shape else self._judge.agrees(reference, output)
        self._agreed.append(agreed)
        self._groups.append(group)
        self._nearness.append(self._judge.nearness(reference, output))
        self._classes.add(self._judge.kept_classes(reference, output))
        if same_shape:
            self._metrics.add(reference, output)
        self._broken += not finite

    def _agrees(self, reference: Array, output: Array) -> bool:
        """Whether the outputs agree. Of unnamed integers most must be equal: an index may flip at a near tie."""
        if self.port.asked is not None or reference.dtype.kind not in "iub" or reference.size == 1:
            return self._judge.agrees(reference, output)
        return float(np.mean(reference == output)) >= MIN_AGREEMENT

    def summary(self, gates: Gates, *, in_time: bool | None, confidence: float) -> OutputSummary:
        kind, metrics, name = self._judge.meaning.kind, self._metrics, self.port.name
        windows, wrong = len(self._agreed), self._agreed.count(False)
        code = message = ""
        if self.port.asked is not None:
            measured = self._measured(in_time=in_time, confidence=confidence)
            judged = judge_named(gates, kind, measured, search=in_time is None)
            judged = with_detections(judged, self._boxes.summary())
            code, message = judged.code, judged.message and f"output {name!r}: {judged.message}"
            if in_time is not None and not self._judge.varies:
                code, message = "no_coverage", f"float gives the same output {name!r} on all {windows} windows"
        elif self._broken:
            code, message = (
                "output_ruined",
                f"output {name!r}: int8 returns NaN or Inf in {self._broken} of {windows} windows",
            )
        elif self._judge.varies and (why := ruin(kind, windows, wrong, metrics.sqnr_db, metrics.worst)):
            code, message = "output_ruined", f"output {name!r}: {why}"
        found = summarise(name, self._judge.meaning, windows, wrong, metrics, self._classes)
        return replace(found, code=code, message=message)

    def _measured(self, *, in_time: bool | None, confidence: float) -> Measured:
        windows, effect = len(self._agreed), 1.0
        if in_time is not None:
            wrong = [not agreed for agreed in self._agreed]
            effect = design_effect(wrong, self._nearness, self._groups, in_time=in_time)
        return Measured(
            windows=windows,
            windows_effective=effective_windows(windows, effect),
            disagreements=self._agreed.count(False),
            sqnr_db=self._metrics.sqnr_db,
            sqnr_of=self._metrics.worst,
            classes=self._classes.counts,
            confidence=confidence,
        )


def summarise(
    name: str, meaning: Meaning, windows: int, wrong: int, metrics: GroupedMetrics, classes: ClassCounts
) -> OutputSummary:
    """The measurements of one output."""
    return OutputSummary(
        name=name,
        kind=meaning.kind,
        found=meaning.found,
        windows=windows,
        disagreements=wrong,
        agreement=1 - wrong / windows if windows else None,
        sqnr_db=metrics.sqnr_db,
        groups=[
            GroupError(channels=group.name, peak=group.peak, sqnr_db=sqnr_db, why_not=_WHY_NOT[group.why_not])
            for group, sqnr_db in metrics.groups()
        ],
        classes=told(classes.counts),
    )
