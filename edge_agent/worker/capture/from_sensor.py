"""Captures from this device's own sensor: block after block in the order of time, checked as they come.

Before the first sample everything that can be known is checked: source, channels, window and steps against the model,
free space. A complete block is on disk for good, so a capture that was interrupted goes on with the next one, unless
the source is a recording, which would begin anew and bring samples of one set into another.

How many calibration windows are captured depends on what they show (:mod:`edge_agent.worker.quality.capture_watch`).
Whether a block is skipped is on disk as the block itself would be; how the plan was extended follows from the blocks
before.
"""

import math
import shutil
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec

from edge_agent.backends import ModelInfo
from edge_agent.contract.feeding import sensor_inputs
from edge_agent.errors import ContractError, LimitError, RecipeError, Refusal, SourceError
from edge_agent.jobs.task import Task
from edge_agent.preprocess.resample import Resampler, rate_ratio
from edge_agent.quant.bounds import windows_needed
from edge_agent.quant.gates import MIN_AGREEMENT
from edge_agent.sensing.subscribe import subscribe
from edge_agent.sources import EndOfSource, Source, open_source
from edge_agent.wire.manifest import Window
from edge_agent.worker.capture import source_fit
from edge_agent.worker.context import Context
from edge_agent.worker.data.dataset import ShardSets
from edge_agent.worker.data.finding import Finding, refuse
from edge_agent.worker.data.shards import BlockBuffer, Plan, ShardFolder
from edge_agent.worker.data.split import SPLITS, Block, Split, plan_blocks, samples_needed, windows_that_fit
from edge_agent.worker.quality.capture_watch import Watch
from edge_agent.worker.quality.channels import judge_rate
from edge_agent.worker.quality.step_scale import StepScale, some_windows, step_scales

_POLL_S = 0.5
_DROPOUT_S = 1.0
_DROPOUT_SAMPLES = 5
"""Nothing for this many samples' time, and at least a second, while a block is collected: samples were lost."""
_RATE_AFTER_S = 10.0
_LOOK_S, _FAR_ABOVE = 0.5, 2.0
_DEADLINE_FACTOR, _DEADLINE_SLACK_S = 1.5, 60.0
_SPARE_BYTES = 16 << 20
_MINUTE_S, _HOUR_S = 60, 3600
_OPEN_WITHIN_S = 60.0
"""A job that goes on after the device has booted may find the sensor's process still opening it."""


def capture_source(context: Context, info: ModelInfo) -> tuple[ShardSets, dict[str, Any]]:
    """The sets, and what the result object says about them.

    Raises:
        ContractError: ``source_unknown``, ``channel_unknown``, ``input_missing``, ``shape_mismatch``,
            ``dtype_mismatch``.
        ModelError: ``state_undeclared``.
        RecipeError: ``recipe_unsupported`` for a step that is not known, inputs from several sources, or a rate that
            the source's cannot become.
        SourceError: ``source_unavailable``, ``source_busy``, ``source_silent``, ``source_lost``.
        LimitError: ``no_space``, ``capture_timeout``.
        Refusal: the data's quality, or ``too_few_windows``.
    """
    task = context.task
    name, window, rate_hz = source_fit.agreed(info, task)
    source = _open(task, name)
    try:
        columns = source_fit.fit(info, task, source, name, window.size)
        plan = _plan(task, source, name, columns, window, rate_hz)
        scales = step_scales(sensor_inputs(info, task).values(), plan.channels)
        return _Capture(context, source, plan, scales).run()
    finally:
        source.close()


def _open(task: Task, name: str) -> Source:
    """The sensor itself, or where a process of its own reads it, what that hands out."""
    if name in task.shared:
        return subscribe(name, Path(task.shared[name]), open_within_s=_OPEN_WITHIN_S)
    return open_source(name, task.sources[name])


def _plan(task: Task, source: Source, name: str, columns: list[str], window: Window, rate_hz: float | None) -> Plan:
    hop = window.hop
    ratio = rate_ratio(source.rate_hz, rate_hz or source.rate_hz)
    if source.window_size:
        if ratio != 1:
            text = f"the windows of source {name!r} stand alone at {source.rate_hz:g} Hz; they cannot be resampled"
            raise RecipeError("recipe_unsupported", f"{text} to rate_hz = {rate_hz:g}")
        if source.window_size != window.size:
            raise ContractError(
                "shape_mismatch", f"source {name!r} has windows of {source.window_size} samples, not {window.size}"
            )
        hop = window.size  # a ready window stays whole
    recipe = task.recipe
    wanted = {split: getattr(recipe, f"{split}_windows") for split in SPLITS}
    blocks = plan_blocks(wanted, size=window.size, hop=hop, needed=Resampler(ratio).needed)
    return Plan(name, columns, blocks, ratio.as_integer_ratio())


class _Clock:
    """When samples come: how long it has been silent, and whether the stream is on."""

    def __init__(self) -> None:
        self.started = self._heard = time.monotonic()
        self.ever_heard = False
        self._on = False

    @property
    def silent_s(self) -> float:
        return time.monotonic() - self._heard

    def hear(self) -> None:
        """Samples came."""
        self._heard = time.monotonic()
        self.ever_heard = self._on = True

    def interrupt(self) -> bool:
        """The stream stopped; returns whether it was on."""
        was_on, self._on = self._on, False
        return was_on


class _Capture:
    """One run through what is left of a plan."""

    def __init__(self, context: Context, source: Source, plan: Plan, scales: Sequence[StepScale] = ()) -> None:
        self._context = context
        self._source = source
        self._plan = plan
        self._shards = ShardFolder(context.out_dir, plan, keep=source.live)
        self._resample = Resampler(Fraction(*plan.ratio))
        self._watch = Watch(plan.channels, plan.blocks[0].gap, scales)
        self._planned = sum(block.windows for block in plan.blocks if block.split == "calibration")
        self._extended = False
        self._arrived = 0
        self._picked = [source.channels.index(channel) for channel in plan.channels]
        self._blank = source_fit.blank(source, len(plan.channels))
        self._done = self._shards.done
        self._buffer = self._next_buffer()
        self._interruptions = 0
        self._clock = _Clock()
        self._deadline = self._clock.started + _DEADLINE_FACTOR * self._left() / source.rate_hz + _DEADLINE_SLACK_S

    def run(self) -> tuple[ShardSets, dict[str, Any]]:
        """Capture the blocks that are not there yet, and judge all of them."""
        self._check_space()
        self._check_length()
        self._look_back(0)
        self._report(force=True)
        rest = self._blank
        while self._done < len(self._plan.blocks) or self._extend():
            rest = self._buffer.add(rest)
            while not self._buffer.full:
                rest = self._buffer.add(self._read())
                self._report()
            self._look(self._done, self._buffer.samples)
            self._shards.save(self._done, self._buffer.samples)
            self._done += 1
            self._skip_needless()
            self._buffer = self._next_buffer()
        findings = self._findings()
        refuse(findings)
        return self._shards.sets(), self._summary(findings)

    def _look(self, index: int, samples: source_fit.Samples) -> None:
        """Judge a complete block."""
        block = self._plan.blocks[index]
        refuse(self._watch.add(block, source_fit.levels(samples), lambda: some_windows(self._resample(samples), block)))

    def _look_back(self, first: int) -> None:
        """See again what an interrupted capture left from block ``first`` on."""
        for index in range(first, self._done):
            if not self._shards.skipped(index):
                self._look(index, self._shards.load(index))

    def _skip_needless(self) -> None:
        """Pass over calibration blocks once the ranges are sure."""
        while self._done < len(self._plan.blocks) and self._is_needless(self._done):
            self._shards.skip(self._done)
            self._done += 1

    def _is_needless(self, index: int) -> bool:
        return self._plan.blocks[index].split == "calibration" and self._watch.enough(self._planned)

    def _extend(self) -> bool:
        """Add calibration blocks to the plan, once, if the ranges are not sure; whether there is anything to capture.

        What a recording does not hold beyond the plan cannot be had.
        """
        wanted = 0 if self._extended else self._watch.missing(self._planned)
        self._extended = True
        extra: list[Block] = []
        for block in self._plan.blocks:
            if block.split == "calibration" and sum(more.windows for more in extra) < wanted:
                extra.append(block)
        needed = samples_needed(extra) + extra[0].gap if extra else 0
        if not extra or (self._source.length and self._source.length - self._arrived < needed):
            return False
        first = self._done
        self._plan = msgspec.structs.replace(self._plan, blocks=[*self._plan.blocks, *extra])
        self._shards.extend(self._plan)
        self._done = self._shards.done
        self._look_back(first)
        self._buffer = self._next_buffer()
        self._check_space()
        self._deadline += _DEADLINE_FACTOR * self._left() / self._source.rate_hz
        return self._done < len(self._plan.blocks)

    def _next_buffer(self) -> BlockBuffer:
        block = self._plan.blocks[min(self._done, len(self._plan.blocks) - 1)]
        return BlockBuffer(block, self._blank, gap=block.gap if self._done else 0)

    def _read(self) -> source_fit.Samples:
        """What arrives within a short time, in the plan's channels; may be nothing."""
        gaps = self._source.gaps
        try:
            arrived = self._source.read(_POLL_S)
        except EndOfSource as error:
            raise self._too_short(error.message, self._arrived) from None
        if self._source.gaps != gaps or (arrived is None and self._dropped_out()):
            self._interruptions += self._clock.interrupt()
            if arrived is None:
                self._source.arrivals.interrupt()
            self._buffer.restart()  # no window may span what is missing
        self._check_deadline()
        if arrived is None:
            self._check_silence()
            return self._blank
        self._arrived += len(arrived)
        self._clock.hear()
        self._check_rate()
        return arrived[..., self._picked]

    def _dropped_out(self) -> bool:
        """Whether a live source has been quiet for so long that samples were lost."""
        limit = max(_DROPOUT_S, _DROPOUT_SAMPLES / self._source.rate_hz)
        return self._source.live and self._clock.silent_s > limit

    def _check_space(self) -> None:
        sample_bytes = math.prod(self._blank.shape[1:]) * self._blank.itemsize
        wanted = sum(block.samples for block in self._plan.blocks[self._done :]) * sample_bytes + _SPARE_BYTES
        free = shutil.disk_usage(self._context.out_dir).free
        if free < wanted:
            raise LimitError("no_space", f"capture needs {wanted >> 20} MiB, {free >> 20} MiB are free; free space")

    def _check_length(self) -> None:
        if self._source.length and not self._source.repeats and self._source.length < self._left():
            raise self._too_short(
                f"source {self._plan.source!r} holds {self._source.length} samples", self._source.length
            )

    def _check_silence(self) -> None:
        limit = max(self._source.silence_s, _DROPOUT_SAMPLES / self._source.rate_hz)
        if self._clock.silent_s <= limit:
            return
        code, what = (
            ("source_lost", "stopped sending") if self._clock.ever_heard else ("source_silent", "sends nothing")
        )
        trouble = self._source.trouble or "check power, cable, baud and framing"
        raise SourceError(code, f"source {self._plan.source!r} {what}: not one sample in {limit:g} s; {trouble}")

    def _check_deadline(self) -> None:
        if time.monotonic() > self._deadline:
            late = self._deadline - self._clock.started
            text = (
                f"{self._left()} samples are still missing after {_duration(late)}; check the sensor's rate and cable"
            )
            raise LimitError("capture_timeout", text)

    def _check_rate(self) -> None:
        finding = self._rate_finding()
        if finding is not None and finding.refuse:
            trouble = f"; {self._source.trouble}" if self._source.trouble else ""
            raise Refusal(finding.code, finding.message + trouble)

    def _rate_finding(self) -> Finding | None:
        seen = self._rate_hz()
        return judge_rate(seen, self._source.rate_hz) if self._source.live and seen is not None else None

    def _rate_hz(self) -> float | None:
        """At what rate samples really come; None while they have not come for long enough to say."""
        return self._source.arrivals.rate_hz(_RATE_AFTER_S)

    def _rate_to_expect(self) -> float | None:
        """At what rate the rest is going to come: as seen, else as the source says; None: too soon to tell.

        After so short a time what is seen counts only where it is far above: a recording, or a simulated sensor.
        """
        said, since = self._source.rate_hz, time.monotonic() - self._clock.started
        if since < _LOOK_S:
            return None
        if seen := self._rate_hz():
            return seen
        brief = self._source.arrivals.rate_hz(_LOOK_S / 2) if self._source.live else self._arrived / since
        return brief if brief and brief > _FAR_ABOVE * said else said

    def _left(self) -> int:
        """Samples that are still needed, gaps included."""
        ahead = range(self._done, len(self._plan.blocks))
        blocks = [self._plan.blocks[index] for index in ahead if not self._is_needless(index)]
        return samples_needed(blocks) + (blocks[0].gap if self._done and blocks else 0) - self._buffer.taken

    def _too_short(self, what: str, samples: int) -> Refusal:
        """The refusal of a recording of so many ``samples``, with what would fit into it."""
        needed = samples_needed(self._plan.blocks)
        text = f"{what}; the windows need {needed}, which is {max(needed - samples, 1)} more: record longer"
        fitting = self._fitting(samples)
        if fitting is not None:
            keys = ", ".join(f"{split}_windows = {count}" for split, count in fitting.items())
            text += f", or set [recipe] {keys}"
        return Refusal("too_few_windows", text)

    def _fitting(self, samples: int) -> dict[Split, int] | None:
        """How many windows ``samples`` hold, if that is enough to prove anything."""
        recipe, gate = self._context.task.recipe, self._context.task.gates.min_agreement
        limit = MIN_AGREEMENT if gate is None else gate
        return windows_that_fit(
            {split: getattr(recipe, f"{split}_windows") for split in SPLITS},
            samples,
            size=self._plan.blocks[0].size,
            hop=next(block.step for block in self._plan.blocks if block.split == "calibration"),
            least=windows_needed(limit) if 0 < limit < 1 else 1,
            needed=self._resample.needed,
        )

    def _report(self, *, force: bool = False) -> None:
        left, total = self._left(), samples_needed(self._plan.blocks)
        rate_hz = self._rate_to_expect()
        seconds = left / rate_hz if rate_hz else None
        detail = f"capturing from {self._plan.source!r}: {total - left} of {total} samples"
        if constant := self._watch.constant_so_far:
            detail += f"; unchanged so far: {', '.join(constant)}"
        self._context.progress(1 - left / total, detail, eta_s=seconds, force=force)

    def _findings(self) -> list[Finding]:
        """All that there is to say of what came."""
        findings, rate = self._watch.findings(), self._rate_finding()
        if rate:
            findings.append(rate)
        rate_hz = self._source.rate_hz
        if (up := Fraction(*self._plan.ratio)) > 1:
            text = f"the model wants {float(rate_hz * up):g} samples a second, source {self._plan.source!r} sends "
            text += f"{rate_hz:g}: what moves faster than {rate_hz / 2:g} Hz is missing"
            findings.append(Finding("wrong_rate", text, refuse=False))
        if self._source.malformed:
            text = f"{self._source.malformed} malformed samples were dropped; check the sensor's cable and framing"
            findings.append(Finding("malformed_samples", text, refuse=False))
        if self._interruptions:
            times = "once" if self._interruptions == 1 else f"{self._interruptions} times"
            text = f"the stream was interrupted {times}; what was incomplete was captured again"
            findings.append(Finding("stream_gaps", text, refuse=False))
        if self._source.repeats and self._source.length < samples_needed(self._plan.blocks):
            text = f"the recording of {self._source.length} samples was repeated, so the sets share samples"
            findings.append(Finding("same_burst", text, refuse=False))
        return findings

    def _summary(self, findings: list[Finding]) -> dict[str, Any]:
        kept = [block for index, block in enumerate(self._plan.blocks) if not self._shards.skipped(index)]
        summary: dict[str, Any] = {}
        for split in SPLITS:
            own = [block for block in kept if block.split == split]
            samples = sum(block.samples for block in own)
            summary[split] = {
                "windows": sum(block.windows for block in own),
                "samples": samples,
                "seconds": round(samples / self._source.rate_hz, 3),
                "blocks": len(own),
            }
        return {
            **summary,
            "enough": {"calibration": self._watch.said(self._planned)},
            "findings": [finding.as_dict() for finding in findings],
            "warnings": [finding.message for finding in findings],
        }


def _duration(seconds: float) -> str:
    if seconds < _MINUTE_S:
        return f"{seconds:.0f} s"
    if seconds < _HOUR_S:
        return f"{seconds / _MINUTE_S:.0f} min"
    return f"{seconds / _HOUR_S:.1f} h"
