"""Captures from this device's own sensor: block after block in time order, checked on arrival.

Everything that can be known is checked before the first sample: source, channels, window and steps against the model,
and free space. A complete block stays on disk, so an interrupted capture resumes with the next block. A recording is
the exception: it restarts, because its samples would otherwise move from one set into another.

:class:`~edge_agent.worker.capture.block_queue.BlockQueue` decides which blocks are left, and
:class:`~edge_agent.acquisition.monitored.MonitoredSource` when to give up on the sensor.
"""

import math
import shutil
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from edge_agent.acquisition.monitored import MonitoredSource
from edge_agent.advice.space import lacks_space
from edge_agent.backends import ModelInfo
from edge_agent.contract.feeding import sensor_inputs
from edge_agent.errors import ContractError, LimitError, RecipeError, Refusal
from edge_agent.jobs.data_summary import Data
from edge_agent.jobs.task import Task
from edge_agent.preprocess.resample import Resampler, rate_ratio
from edge_agent.sensing.subscribe import subscribe
from edge_agent.sources import EndOfSource, Source, open_source
from edge_agent.wire.manifest import Window
from edge_agent.worker.capture import source_fit
from edge_agent.worker.capture.block_queue import BlockQueue
from edge_agent.worker.capture.block_reader import BlockReader
from edge_agent.worker.capture.recording_length import too_short
from edge_agent.worker.context import Context
from edge_agent.worker.data.finding import Finding, refuse, with_findings
from edge_agent.worker.data.sets import ShardSets
from edge_agent.worker.data.shards import Plan, ShardFolder
from edge_agent.worker.data.split import SPLITS, Block, plan_blocks, samples_needed
from edge_agent.worker.quality.capture_monitor import CaptureMonitor
from edge_agent.worker.quality.step_scale import StepScale, step_scales

_SPARE_BYTES = 16 << 20
_OPEN_WITHIN_S = 60.0
"""A job that resumes after a reboot may find the sensor's process still opening the sensor."""


def capture_source(context: Context, info: ModelInfo) -> tuple[ShardSets, Data]:
    """The sets, and their summary for the result object.

    Raises:
        ContractError: ``source_unknown``, ``channel_unknown``, ``input_missing``, ``shape_mismatch``,
            ``dtype_mismatch``.
        ModelError: ``state_undeclared``.
        RecipeError: ``recipe_unsupported`` for an unknown step, inputs from several sources, or a rate to which the
            source's rate cannot be converted.
        SourceError: ``source_unavailable``, ``source_busy``, ``source_silent``, ``source_lost``.
        LimitError: ``no_space``, ``capture_timeout``.
        Refusal: the data's quality, or ``too_few_windows``.
    """
    task = context.task
    name, window, rate_hz = source_fit.common_window(info, task)
    source = _open(task, name)
    try:
        columns = source_fit.check_source(info, task, source, name, window.size)
        plan = _plan(task, source, name, columns, window, rate_hz)
        scales = step_scales(sensor_inputs(info, task).values(), plan.channels)
        return _Capture(context, source, plan, scales).run()
    finally:
        source.close()


def _open(task: Task, name: str) -> Source:
    """The sensor itself or, if a process of its own reads it, a subscription to that process."""
    if name in task.shared:
        return subscribe(name, Path(task.shared[name]), open_within_s=_OPEN_WITHIN_S)
    return open_source(name, task.sources[name])


def _plan(task: Task, source: Source, name: str, columns: list[str], window: Window, rate_hz: float | None) -> Plan:
    hop = window.hop
    ratio = rate_ratio(source.rate_hz, rate_hz or source.rate_hz)
    if source.window_size:
        if ratio != 1:
            text = f"source {name!r} has separate windows at {source.rate_hz:g} Hz, which cannot be resampled"
            raise RecipeError("recipe_unsupported", f"{text} to rate_hz = {rate_hz:g}; leave rate_hz out of [input]")
        if source.window_size != window.size:
            raise ContractError(
                "shape_mismatch",
                f"source {name!r} has windows of {source.window_size} samples, not {window.size}; "
                f"set window = {{ size = {source.window_size} }}",
            )
        hop = window.size  # a ready window stays whole
    recipe = task.recipe
    wanted = {split: getattr(recipe, f"{split}_windows") for split in SPLITS}
    blocks = plan_blocks(wanted, size=window.size, hop=hop, needed=Resampler(ratio).needed)
    return Plan(name, columns, blocks, ratio.as_integer_ratio())


class _Capture:
    """One run through the remaining blocks of a plan."""

    def __init__(self, context: Context, source: Source, plan: Plan, scales: Sequence[StepScale] = ()) -> None:
        self._context, self._source, self._name = context, source, plan.source
        self._ratio = Fraction(*plan.ratio)
        self._resample = Resampler(self._ratio)
        self._monitor = CaptureMonitor(plan.channels, plan.blocks[0].gap, scales)
        shards = ShardFolder(context.out_dir, plan, keep=source.live)
        self._queue = BlockQueue(plan, shards, self._monitor, self._resample)
        self._monitored = MonitoredSource(source, plan.source)
        self._blank = source_fit.blank(source, len(plan.channels))
        picked = [source.channels.index(channel) for channel in plan.channels]
        self._reader = BlockReader(self._monitored, picked, self._blank)
        self._monitored.allow(self._left)

    def run(self) -> tuple[ShardSets, Data]:
        """Capture the missing blocks, and judge all of them."""
        self._check_space()
        self._check_length()
        self._queue.look_back()
        self._report(force=True)
        while (block := self._queue.next) or (block := self._extend()):
            self._queue.add(self._read(block))
        findings = self._findings()
        refuse(findings)
        return self._queue.sets(), with_findings(self._queue.summary(self._source.rate_hz), findings)

    @property
    def _left(self) -> int:
        """Samples still needed, gaps included."""
        return self._queue.left - self._reader.taken

    def _read(self, block: Block) -> source_fit.Samples:
        try:
            return self._reader.read(block.samples, self._queue.gap, self._after_read)
        except EndOfSource as error:
            raise self._too_short(error.message, self._monitored.samples) from None

    def _after_read(self) -> None:
        self._monitored.check(self._left)
        self._monitored.check_rate()
        self._report()

    def _extend(self) -> Block | None:
        """The first additional block that certain ranges need; None if the capture is complete."""
        available = self._source.length - self._monitored.samples if self._source.length else math.inf
        if not self._queue.extend(available):
            return None
        self._check_space()
        self._monitored.allow(self._left)
        return self._queue.next

    def _check_space(self) -> None:
        sample_bytes = math.prod(self._blank.shape[1:]) * self._blank.itemsize
        wanted = self._queue.samples_ahead * sample_bytes + _SPARE_BYTES
        free = shutil.disk_usage(self._context.out_dir).free
        if free < wanted:
            raise LimitError("no_space", lacks_space("capture", wanted, free, self._context.out_dir))

    def _check_length(self) -> None:
        length = self._source.length
        if length and not self._source.repeats and length < self._left:
            raise self._too_short(f"source {self._name!r} holds {length} samples", length)

    def _too_short(self, what: str, samples: int) -> Refusal:
        return too_short(self._context.task, self._queue.plan, self._resample.needed, what, samples)

    def _report(self, *, force: bool = False) -> None:
        left, total = self._left, samples_needed(self._queue.plan.blocks)
        rate_hz = self._monitored.expected_rate_hz
        detail = f"capturing from {self._name!r}: {total - left} of {total} samples"
        if constant := self._monitor.constant_so_far:
            detail += f"; unchanged so far: {', '.join(constant)}"
        self._context.progress(1 - left / total, detail, eta_s=left / rate_hz if rate_hz else None, force=force)

    def _findings(self) -> list[Finding]:
        """All findings about the captured data."""
        findings = [*self._monitor.findings(), *(Finding(*found) for found in self._monitored.findings())]
        rate_hz = self._source.rate_hz
        if self._ratio > 1:
            text = f"the model expects {float(rate_hz * self._ratio):g} samples a second, but source {self._name!r} "
            text += f"sends {rate_hz:g}: frequencies above {rate_hz / 2:g} Hz are missing"
            findings.append(Finding("wrong_rate", text, refuse=False))
        if self._source.repeats and self._source.length < samples_needed(self._queue.plan.blocks):
            text = f"the recording of {self._source.length} samples was repeated, so the sets share samples"
            findings.append(Finding("same_burst", text, refuse=False))
        return findings
