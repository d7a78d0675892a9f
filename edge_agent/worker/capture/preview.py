"""A look at a sensor: windows of it as a model would get them, and what is to be said of them. No job, no model.

Windows come in up to twelve groups with a window's worth of samples thrown away between them, so that groups share no
sample: ``edge-agent quantize`` divides the groups among its sets. A group that an interruption hits is begun anew.
"""

import io
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.errors import ContractError, LimitError, SourceError
from edge_agent.preprocess import Preprocess
from edge_agent.preprocess.resample import Resampler, rate_ratio
from edge_agent.sources import EndOfSource, Source
from edge_agent.state.durable import write_durably
from edge_agent.strict import did_you_mean
from edge_agent.wire.manifest import InputContract, Window
from edge_agent.worker.data.array_matching import GROUPS, RESERVED
from edge_agent.worker.data.finding import Finding
from edge_agent.worker.quality.channels import Quality, judge_rate
from edge_agent.worker.quality.step_scale import evenly, step_scales

WINDOWS = "windows"
"""The array of an input that has no name: a model with one input takes it."""
Samples = NDArray[Any]
Progress = Callable[[float, str, float | None], None]

_GROUPS = 12
_LOOKED_AT = 500
_POLL_S = 0.5
_DROPOUT_S, _DROPOUT_SAMPLES = 1.0, 5
_RATE_AFTER_S = 10.0
_DEADLINE_FACTOR, _DEADLINE_SLACK_S = 1.5, 60.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen.

    Attributes:
        channels: names of the last axis.
        windows: ``[windows, size, ..., channels]`` as the sensor sent them.
        hop: samples from one window to the next.
        groups: the group of each window, ``[windows]``.
        rate_hz: samples that came a second; None if that cannot be said, as of a recording.
        findings: all that there is to say of the data.
        samples: how many came, those that were thrown away included.
    """

    channels: tuple[str, ...]
    windows: Samples
    hop: int
    groups: NDArray[np.int64]
    rate_hz: float | None
    findings: list[Finding]
    samples: int

    @property
    def levels(self) -> NDArray[np.float32]:
        """One number a sample and channel, ``[n, channels]``, none twice: of a picture the mean."""
        once = self.windows[:, : self.hop]
        return _levels(once.reshape(-1, *once.shape[2:]))


class Looker:
    """Takes windows from an open source.

    Args:
        source: read, never closed here.
        name: of the source, for messages.
        channels: which of its channels; empty: all.
        window: samples in a window, and from one to the next.
        rate_hz: samples a second that windows have; None: as the source.

    Raises:
        ContractError: ``channel_unknown``, or ``shape_mismatch`` if the source has windows of another size.
        RecipeError: ``recipe_unsupported`` if the source's rate cannot become ``rate_hz``.
    """

    def __init__(
        self, source: Source, name: str, channels: Sequence[str], window: Window, rate_hz: float | None = None
    ) -> None:
        for channel in channels:
            if channel not in source.channels:
                hint = did_you_mean(channel, source.channels)
                raise ContractError("channel_unknown", f"source {name!r} has no channel {channel!r}{hint}")
        ratio = rate_ratio(source.rate_hz, rate_hz or source.rate_hz)
        if source.window_size and (source.window_size != window.size or ratio != 1):
            text = f"source {name!r} has windows of {source.window_size} samples at {source.rate_hz:g} Hz of their own"
            raise ContractError("shape_mismatch", text)
        self._resample = Resampler(ratio)
        self._source, self._name = source, name
        self._channels = tuple(channels) or source.channels
        self._picked = [source.channels.index(channel) for channel in self._channels]
        self._size, self._hop = window.size, window.size if source.window_size else window.hop
        self._gap = self._resample.needed(window.size)
        self._gaps = source.gaps
        self._heard = self._began = time.monotonic()
        self._interruptions = self._samples = self._asked = 0
        self._on = False
        self._deadline = math.inf

    def take(self, windows: int, progress: Progress) -> Seen:
        """So many windows; ``progress`` is told fraction, detail and seconds left.

        Raises:
            SourceError: ``source_silent``, ``source_lost``.
            LimitError: ``capture_timeout``.
        """
        quality = Quality(list(self._channels), self._gap)
        self._asked = windows
        shares, needs = self._groups_of(windows)
        total = sum(needs) + (len(needs) - 1) * self._gap
        self._deadline = self._began + _DEADLINE_FACTOR * total / self._source.rate_hz + _DEADLINE_SLACK_S
        parts: list[Samples] = []
        early: dict[str, Finding] = {}
        done, rest = 0, np.empty((0, 0))
        for share, needed in zip(shares, needs, strict=True):
            skip = self._gap if parts else 0
            block, rest = self._block(rest, skip, needed, partial(self._tell, progress, done, total))
            done += skip + needed
            for finding in quality.add(_levels(block)):
                early.setdefault(finding.code, finding)
            starts = range(0, share * self._hop, self._hop)
            block = self._resample(block)
            parts.append(np.stack([block[start : start + self._size] for start in starts]))
        groups = np.repeat(np.arange(len(shares)), shares)
        late = [*quality.findings(), *self._stream_findings()]
        said = {finding.code for finding in late}
        found = [*(finding for code, finding in early.items() if code not in said), *late]
        return Seen(self._channels, np.concatenate(parts), self._hop, groups, self._rate_hz, found, self._samples)

    def _groups_of(self, windows: int) -> tuple[list[int], list[int]]:
        """Windows of each group, and the samples that it takes."""
        shares = np.diff(np.arange(min(_GROUPS, windows) + 1) * windows // min(_GROUPS, windows)).tolist()
        return shares, [self._resample.needed((share - 1) * self._hop + self._size) for share in shares]

    def _fewer(self) -> str:
        """What to ask for instead, of a source that has ended."""
        for windows in range(self._asked - 1, 0, -1):
            _, needs = self._groups_of(windows)
            if sum(needs) + (len(needs) - 1) * self._gap <= self._samples:
                return f"give --windows {windows}, or record longer"
        return "record longer"

    def _block(self, rest: Samples, skip: int, needed: int, tell: Callable[[int], None]) -> tuple[Samples, Samples]:
        """``needed`` samples without a gap, after ``skip`` more that are thrown away; and what came after them."""
        have = [rest] if len(rest) else []
        while (count := sum(map(len, have))) < skip + needed:
            tell(count)
            arrived, follows = self._read()
            if not follows:
                skip, have = 0, []
            if len(arrived):
                have.append(arrived)
        whole = np.concatenate(have)
        return whole[skip : skip + needed], whole[skip + needed :]

    def _read(self) -> tuple[Samples, bool]:
        """What arrives within a short time, and whether it follows on what came before."""
        try:
            arrived = self._source.read(_POLL_S)
        except EndOfSource as error:
            raise SourceError("source_lost", f"{error.message}; {self._fewer()}") from None
        now = time.monotonic()
        quiet = now - self._heard
        dropout = self._source.live and quiet > max(_DROPOUT_S, _DROPOUT_SAMPLES / self._source.rate_hz)
        follows = self._source.gaps == self._gaps and not (arrived is None and dropout)
        self._gaps = self._source.gaps
        if not follows:
            self._interruptions += self._on
            self._on = False
        self._check(quiet, now)
        if arrived is None:
            return np.empty((0, 0)), follows
        self._heard = now
        self._samples += len(arrived)
        self._on = True
        return arrived[..., self._picked], follows

    def _check(self, quiet: float, now: float) -> None:
        limit = max(self._source.silence_s, _DROPOUT_SAMPLES / self._source.rate_hz)
        if quiet > limit:
            lost = self._samples > 0
            code, what = ("source_lost", "stopped sending") if lost else ("source_silent", "sends nothing")
            trouble = self._source.trouble or "check power, cable, baud and framing"
            raise SourceError(code, f"source {self._name!r} {what}: not one sample in {limit:g} s; {trouble}")
        if now > self._deadline:
            text = f"not all windows came within {now - self._began:.0f} s; check the sensor's rate and cable"
            raise LimitError("capture_timeout", text)

    @property
    def _rate_hz(self) -> float | None:
        return self._source.arrivals.rate_hz() if self._source.live else None

    def _tell(self, progress: Progress, done: int, total: int, more: int) -> None:
        have = min(done + more, total)
        left = (total - have) / (self._rate_hz or self._source.rate_hz)
        progress(have / total, f"{have} of {total} samples of {self._name!r}", left)

    def _stream_findings(self) -> list[Finding]:
        found: list[Finding] = []
        rate = self._source.arrivals.rate_hz(_RATE_AFTER_S) if self._source.live else None
        if rate is not None and (finding := judge_rate(rate, self._source.rate_hz)) is not None:
            found.append(finding)
        if self._source.malformed:
            text = f"{self._source.malformed} malformed samples were dropped; check the sensor's cable and framing"
            found.append(Finding("malformed_samples", text, refuse=False))
        if self._interruptions:
            text = f"the stream was interrupted {self._interruptions} x; what was incomplete was captured again"
            found.append(Finding("stream_gaps", text, refuse=False))
        return found


def _levels(samples: Samples) -> NDArray[np.float32]:
    pixels = tuple(range(1, samples.ndim - 1))
    return samples.mean(axis=pixels, dtype=np.float32) if pixels else samples.astype(np.float32)


def arrays(seen: Seen, contracts: Sequence[InputContract]) -> dict[str, NDArray[Any]]:
    """What belongs into an ``.npz`` for ``edge-agent quantize``: an array an input, after its steps, and the groups.

    Args:
        seen: the windows.
        contracts: of the inputs that are fed from this source; none: one input, fed windows as they are.

    Raises:
        RecipeError: ``recipe_unsupported`` for an unknown step.
        ContractError: a step does not fit the windows.
    """
    made: dict[str, NDArray[Any]] = {}
    for contract in contracts or [InputContract()]:
        picked = [seen.channels.index(channel) for channel in contract.channels] or slice(None)
        steps = Preprocess(contract)
        key = f"input:{contract.name}" if contract.name in RESERVED else contract.name or WINDOWS
        made[key] = np.stack([steps(window[..., picked]) for window in seen.windows])
    return made | {GROUPS: seen.groups}


def scale_findings(seen: Seen, contracts: Sequence[InputContract]) -> list[Finding]:
    """What is to be said of what the ``standardize`` steps of ``contracts`` make of the windows."""
    scales = step_scales(contracts, seen.channels)
    for scale in scales:
        scale.add(evenly(list(seen.windows), _LOOKED_AT))
    return [finding for scale in scales for finding in scale.findings()]


def save(path: Path, made: Mapping[str, NDArray[Any]]) -> None:
    """Write an ``.npz``, whole or not at all."""
    packed = io.BytesIO()
    arrays: dict[str, Any] = dict(made)  # numpy 2 takes a bool by name, so arrays alone do not fit its signature
    np.savez_compressed(packed, **arrays)
    write_durably(path, packed.getvalue())
