"""Captures from a reservoir: segments that a sensor's process has stored over hours and days, available at once.

The reservoir keeps changing while it is read, so the segments are first copied into the job's folder. Then quality and
balance are judged as in a live capture, in as many groups of segments as a capture has rounds.
"""

import math
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from edge_agent.advice.space import lacks_space
from edge_agent.backends import ModelInfo
from edge_agent.contract.feeding import sensor_inputs
from edge_agent.errors import ContractError, LimitError, StoreError
from edge_agent.jobs.data_summary import Data, Enough, ReservoirUse, SetSummary
from edge_agent.preprocess.resample import Resampler, rate_ratio
from edge_agent.reservoir.snapshot import ReservoirSnapshot, Segment, read
from edge_agent.settings.sharing import KEPT_FOLDER
from edge_agent.wire.manifest import Window
from edge_agent.worker.capture import source_fit
from edge_agent.worker.capture.selection import SegmentShare, SegmentShares, Shortfall, capacity, choose, spare
from edge_agent.worker.context import Context
from edge_agent.worker.data.finding import refuse, with_findings
from edge_agent.worker.data.sets import Shard, ShardSets
from edge_agent.worker.data.split import SPLITS, Block, Split
from edge_agent.worker.quality.capture_monitor import CaptureMonitor
from edge_agent.worker.quality.step_scale import evenly, step_scales

_npy_format: Any = np.lib.format
"""Untyped in numpy."""
_GROUPS = 12
_SPARE_BYTES = 16 << 20
_ATTEMPTS = 2
"""Segments are rarely replaced within the seconds that copying takes."""
_REPLACED = Shortfall("stored samples were replaced while they were being copied")


def capture_kept(context: Context, info: ModelInfo) -> tuple[ShardSets, Data] | Shortfall | None:
    """The sets and their summary for the result object; a ``Shortfall`` if too little is stored, None if nothing is.

    Raises:
        ContractError, RecipeError, ModelError: the source does not fit the model, as in a live capture.
        LimitError: ``no_space``.
        Refusal: the data's quality.
    """
    task = context.task
    name, window, rate_hz = source_fit.common_window(info, task)
    if name not in task.shared:
        return None
    made: tuple[ShardSets, Data] | Shortfall | None = None
    for _ in range(_ATTEMPTS):
        before, made = made, _attempt(context, info, name, window, rate_hz)
        if made is None:
            return before
        if made is not _REPLACED:
            break
    return made


def _attempt(
    context: Context, info: ModelInfo, name: str, window: Window, rate_hz: float | None
) -> tuple[ShardSets, Data] | Shortfall | None:
    task = context.task
    try:
        kept = read(Path(task.shared[name]) / KEPT_FOLDER)
    except StoreError:  # the sensor has no reservoir, or nothing is stored yet
        return None
    with closing(kept):
        stored = kept.format
        try:
            columns = source_fit.check_source(info, task, stored, name, window.size)
        except ContractError as error:  # the sensor may have been replaced; a live capture reports its own misfit
            return Shortfall(f"the stored samples do not fit: {error.message}")
        resample = Resampler(rate_ratio(stored.rate_hz, rate_hz or stored.rate_hz))
        steps: dict[Split, int] = {
            "calibration": window.hop, "search": window.hop, "heldout": max(window.size, window.hop),
        }  # fmt: skip
        samples = resample.outputs(stored.samples)
        holds = {split: capacity(samples, window.size, steps[split]) for split in SPLITS}
        if not holds["calibration"]:
            needed = resample.needed(window.size)
            text = f"a stored segment of {stored.samples} samples is shorter than a window, which takes {needed}"
            return Shortfall(f"{text}; set [sources.{name}] keep_seconds = {keep_seconds(needed, stored.rate_hz):g}")
        wanted = {split: getattr(task.recipe, f"{split}_windows") for split in SPLITS}
        chosen = choose(kept.of("calibration"), kept.of("judging"), wanted, holds, stateful=bool(task.state))
        if isinstance(chosen, Shortfall):
            return chosen
        return _Taking(context, info, kept, columns, window.size, steps, resample).run(name, chosen)


class _Taking:
    """Copies the chosen segments, and judges them."""

    def __init__(
        self,
        context: Context,
        info: ModelInfo,
        kept: ReservoirSnapshot,
        columns: list[str],
        size: int,
        steps: dict[Split, int],
        resample: Resampler,
    ) -> None:
        self._context = context
        self._kept = kept
        self._columns = columns
        self._picked = [kept.format.channels.index(column) for column in columns]
        self._size, self._steps, self._resample = size, steps, resample
        scales = step_scales(sensor_inputs(info, context.task).values(), columns)
        self._monitor = CaptureMonitor(columns, resample.needed(size), scales)
        self._shards: dict[Split, list[Shard]] = {split: [] for split in SPLITS}
        self._times: list[float] = []

    def run(self, name: str, chosen: SegmentShares) -> tuple[ShardSets, Data] | Shortfall:
        """Copy and judge all sets; returns a ``Shortfall`` if a set would be smaller than chosen."""
        planned = sum(share.windows for share in chosen["calibration"])
        self._clear()
        self._check_space(sum(map(len, chosen.values())))
        files = {split: self._copy(split, split, chosen[split]) for split in SPLITS}
        if any(len(files[split]) < len(chosen[split]) for split in SPLITS):
            self._clear()
            return _REPLACED
        self._judge(files)
        more = spare(self._kept.of("calibration"), chosen["calibration"], self._monitor.missing(planned))
        if more:
            self._check_space(len(more))
            self._judge({"calibration": self._copy("calibration", "calibration-more", more)})
        findings = self._monitor.findings()
        refuse(findings)
        calibration, search, heldout = (self._summary(split) for split in SPLITS)
        first, last = _date(min(self._times)), _date(max(self._times))
        message = f"the sets hold samples of {name!r} from {first} to {last}"
        self._context.progress(1.0, message, eta_s=0.0, force=True)
        ratio = self._resample.ratio.as_integer_ratio()
        use = ReservoirUse(
            used=True,
            message=message,
            first=first,
            last=last,
            stretches=len(self._kept.segments),
            windows=calibration.windows + search.windows + heldout.windows,
        )
        enough = Enough(calibration=self._monitor.summary(planned))
        data = Data(calibration=calibration, search=search, heldout=heldout, kept=use, enough=enough)
        made = ShardSets(channels=self._columns, ratio=ratio, **self._shards)
        return made, with_findings(data, findings)

    def _clear(self) -> None:
        """Remove the files of an interrupted capture."""
        for path in self._context.out_dir.iterdir():
            path.unlink()

    def _check_space(self, segments: int) -> None:
        wanted = segments * self._kept.format.segment_bytes + _SPARE_BYTES
        free = shutil.disk_usage(self._context.out_dir).free
        if free < wanted:
            raise LimitError("no_space", lacks_space("capture", wanted, free, self._context.out_dir))

    def _copy(self, split: Split, stem: str, shares: Sequence[SegmentShare]) -> list[tuple[Shard, Path]]:
        """Copy the segments into one file; segments that were replaced meanwhile are left out."""
        stored = self._kept.format
        path = self._context.out_dir / f"{stem}.npy"
        full = (len(shares) * stored.samples, *stored.array_shape[1:-1], len(self._columns))
        copy = _npy_format.open_memmap(path, mode="w+", dtype=np.dtype(stored.dtype), shape=full)
        made: list[tuple[Shard, Path]] = []
        for share in shares:
            segment = share.segment
            samples = self._kept.load(segment) if isinstance(segment, Segment) else None
            if samples is None:
                continue
            first = len(made) * stored.samples
            copy[first : first + stored.samples] = samples[..., self._picked]
            self._times.append(segment.time_s)
            made.append((self._shard(split, path.name, share, first), path))
            self._context.progress(0.5, f"copying stored samples: {split}")
        copy.flush()
        self._shards[split] += [shard for shard, _ in made]
        return made

    def _shard(self, split: Split, file: str, share: SegmentShare, first: int) -> Shard:
        return Shard(
            file=file,
            windows=share.windows,
            size=self._size,
            step=self._steps[split],
            first=first,
            samples=self._kept.format.samples,
            # State is carried from window to window within a segment. Without state, the block of time is the group.
            group=None if self._context.task.state else share.segment.block,
        )

    def _judge(self, files: dict[Split, list[tuple[Shard, Path]]]) -> None:
        """Judge quality and balance by groups of segments; the sets take turns, because they alternate in time."""
        rounds = {split: list(_groups(made)) for split, made in files.items()}
        for turn in range(max(map(len, rounds.values()))):
            for split, groups in rounds.items():
                if turn < len(groups):
                    self._look(split, groups[turn])

    def _look(self, split: Split, made: Sequence[tuple[Shard, Path]]) -> None:
        parts = [np.load(path, mmap_mode="r")[shard.first : shard.first + (shard.samples or 0)] for shard, path in made]
        samples = np.concatenate([source_fit.levels(part) for part in parts])
        windows = sum(shard.windows for shard, _ in made)
        block = Block(split, windows, self._size, self._steps[split], len(samples), 0)
        refuse(
            self._monitor.add(block, samples, lambda: [self._resample(part)[: self._size] for part in evenly(parts)])
        )

    def _summary(self, split: Split) -> SetSummary:
        shards = self._shards[split]
        samples = sum(shard.samples or 0 for shard in shards)
        return SetSummary(
            windows=sum(shard.windows for shard in shards),
            samples=samples,
            seconds=round(samples / self._kept.format.rate_hz, 3),
            blocks=len(shards),
        )


def keep_seconds(samples: int, rate_hz: float) -> float:
    """The length in seconds of a segment of ``samples`` samples, rounded up to a tenth."""
    return math.ceil(10 * samples / rate_hz) / 10


def _groups(made: Sequence[tuple[Shard, Path]]) -> Iterator[Sequence[tuple[Shard, Path]]]:
    """At most ``_GROUPS`` groups in time order, none of them empty."""
    count = min(_GROUPS, len(made))
    for place in range(count):
        yield made[len(made) * place // count : len(made) * (place + 1) // count]


def _date(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
