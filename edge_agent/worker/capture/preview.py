"""A preview of a sensor: its windows as a model would get them, and findings about them. No job, no model.

The windows come in up to twelve groups. A window's worth of samples is discarded between two groups, so that groups
share no sample: ``edge-agent quantize`` divides the groups among its sets. An interruption restarts the current
group, or the current window where windows lie apart.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.acquisition.monitored import MonitoredSource
from edge_agent.errors import ContractError, SourceError
from edge_agent.preprocess import Preprocess
from edge_agent.preprocess.resample import Resampler, rate_ratio
from edge_agent.sources import EndOfSource, Source
from edge_agent.state.durable import writing_durably
from edge_agent.strict import did_you_mean
from edge_agent.wire.manifest import InputContract, Window
from edge_agent.worker.capture import source_fit
from edge_agent.worker.capture.block_reader import BlockReader
from edge_agent.worker.data.array_matching import GROUPS, RESERVED
from edge_agent.worker.data.finding import Finding
from edge_agent.worker.quality.channels import Quality
from edge_agent.worker.quality.step_scale import evenly, step_scales

WINDOWS = "windows"
"""The array of an unnamed input, which a model with one input takes."""
Samples = NDArray[Any]
Progress = Callable[[float, str, float | None], None]

_GROUPS = 12
_LOOKED_AT = 500


@dataclass(frozen=True, slots=True)
class Preview:
    """Windows of a sensor, and findings about them.

    Attributes:
        channels: names of the last axis.
        windows: ``[windows, size, ..., channels]`` as the sensor sent them.
        hop: samples from one window to the next.
        groups: the group of each window, ``[windows]``.
        rate_hz: measured samples per second; None if unknown, as for a recording.
        findings: all findings about the data.
        samples: number of samples that arrived, discarded ones included.
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
        """One number per sample and channel, ``[n, channels]``, without repeats; for a picture its mean."""
        once = self.windows[:, : self.hop]
        return source_fit.levels(once.reshape(-1, *once.shape[2:]))


class WindowSampler:
    """Takes windows from an open source.

    Args:
        source: the open source; it is read, but never closed here.
        name: the source's name, for messages.
        channels: the channels to take; empty: all.
        window: samples in a window, and from one window to the next.
        rate_hz: samples per second of the windows; None: the source's rate.

    Raises:
        ContractError: ``channel_unknown``, or ``shape_mismatch`` if the source has windows of another size.
        RecipeError: ``recipe_unsupported`` if the source's rate cannot be converted to ``rate_hz``.
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
            text = f"source {name!r} has ready windows of {source.window_size} samples at {source.rate_hz:g} Hz"
            raise ContractError("shape_mismatch", text)
        self._resample = Resampler(ratio)
        self._source, self._name = source, name
        self._channels = tuple(channels) or source.channels
        self._size, self._hop = window.size, window.size if source.window_size else window.hop
        self._gap = self._resample.needed(window.size)
        self._monitored = MonitoredSource(source, name)
        picked = [source.channels.index(channel) for channel in self._channels]
        self._reader = BlockReader(self._monitored, picked, source_fit.blank(source, len(picked)))

    def take(self, windows: int, progress: Progress) -> Preview:
        """Take ``windows`` windows; ``progress`` gets the fraction, a detail and the seconds left.

        Raises:
            SourceError: ``source_silent``, ``source_lost``.
            LimitError: ``capture_timeout``.
        """
        shares, needs = self._groups_of(windows)
        total = self._samples_of(needs)
        self._monitored.allow(total)
        quality = Quality(list(self._channels), self._gap)
        parts: list[Samples] = []
        early: dict[str, Finding] = {}
        done = 0
        for share, needed in zip(shares, needs, strict=True):
            skip = self._gap if parts else 0
            levels: list[Samples] = []
            for piece, wanted in self._pieces(share, needed):
                block = self._block(piece, skip, windows, partial(self._after_read, progress, done, total))
                done += skip + piece
                skip = 0
                levels.append(source_fit.levels(block))
                if wanted:
                    block = self._resample(block)
                    starts = range(0, wanted * self._hop, self._hop)
                    parts.append(np.stack([block[start : start + self._size] for start in starts]))
            for finding in quality.add(np.concatenate(levels)):
                early.setdefault(finding.code, finding)
        late = [*quality.findings(), *(Finding(*found) for found in self._monitored.findings())]
        known = {finding.code for finding in late}
        return Preview(
            channels=self._channels,
            windows=np.concatenate(parts),
            hop=self._hop,
            groups=np.repeat(np.arange(len(shares)), shares),
            rate_hz=self._source.arrivals.rate_hz() if self._source.live else None,
            findings=[*(finding for code, finding in early.items() if code not in known), *late],
            samples=self._monitored.samples,
        )

    def row_bytes(self, contracts: Sequence[InputContract]) -> int:
        """The memory that a window takes: as it came, once more while all are put together, and as a row.

        Raises:
            RecipeError, ContractError: as :func:`arrays`, before a sample is read.
        """
        window = source_fit.blank(self._source, len(self._channels), self._size)
        row = [make(window) for _, make in _makers(self._channels, contracts)]
        return 2 * window.nbytes + sum(made.nbytes for made in row)

    def _groups_of(self, windows: int) -> tuple[list[int], list[int]]:
        """The number of windows in each group, and the samples that each group takes."""
        shares = np.diff(np.arange(min(_GROUPS, windows) + 1) * windows // min(_GROUPS, windows)).tolist()
        return shares, [self._resample.needed((share - 1) * self._hop + self._size) for share in shares]

    def _pieces(self, share: int, needed: int) -> Iterator[tuple[int, int]]:
        """The samples of a group that are read at once, and their windows: all of it, or one window.

        Windows may lie apart, such as a picture of every second. What lies between two of them is read in pieces no
        longer than a window, so that memory never holds more.
        """
        if self._hop <= self._size or self._resample.ratio != 1:
            yield needed, share
            return
        for number in range(share):
            yield self._size, 1
            left = self._hop - self._size if number < share - 1 else 0
            while left:
                yield min(left, self._size), 0
                left -= min(left, self._size)

    def _samples_of(self, needs: Sequence[int]) -> int:
        """Samples that all groups take, including the samples discarded between them."""
        return sum(needs) + (len(needs) - 1) * self._gap

    def _block(self, needed: int, skip: int, windows: int, after_read: Callable[[], None]) -> Samples:
        try:
            return self._reader.read(needed, skip, after_read)
        except EndOfSource as error:
            raise SourceError("source_lost", f"{error.message}; {self._fewer_than(windows)}") from None

    def _fewer_than(self, asked: int) -> str:
        """The remedy for a source that ended too early: fewer windows, or a longer recording."""
        for windows in range(asked - 1, 0, -1):
            if self._samples_of(self._groups_of(windows)[1]) <= self._monitored.samples:
                needed = self._samples_of(self._groups_of(asked)[1])
                return f"give --windows {windows}, or record {needed} samples for {asked} windows"
        return "record longer"

    def _after_read(self, progress: Progress, done: int, total: int) -> None:
        """Check the source and report progress. Unlike a capture, a low rate is only a finding and does not end it."""
        have = done + self._reader.taken
        self._monitored.check(total - have)
        rate_hz = self._monitored.expected_rate_hz
        left_s = (total - have) / rate_hz if rate_hz else None
        progress(have / total, f"{have} of {total} samples of {self._name!r}", left_s)


def arrays(preview: Preview, contracts: Sequence[InputContract]) -> dict[str, NDArray[Any]]:
    """The arrays of an ``.npz`` for ``edge-agent quantize``: one per input, after its steps, and the groups.

    Args:
        preview: the windows.
        contracts: contracts of the inputs that this source feeds; empty: one input, fed with unchanged windows.

    Raises:
        RecipeError: ``recipe_unsupported`` for an unknown step.
        ContractError: a step does not fit the windows.
    """
    made = list(rows(preview, contracts))
    return {name: np.stack([row[name] for row in made]) for name in made[0]} | {GROUPS: preview.groups}


def rows(preview: Preview, contracts: Sequence[InputContract]) -> Iterator[dict[str, NDArray[Any]]]:
    """The same row by row, without the groups; raises as :func:`arrays`."""
    made = _makers(preview.channels, contracts)
    for window in preview.windows:
        yield {key: make(window) for key, make in made}


def _makers(
    channels: Sequence[str], contracts: Sequence[InputContract]
) -> list[tuple[str, Callable[[Samples], Samples]]]:
    """Each input's array, and what makes its row of a window of these channels."""

    def maker(contract: InputContract) -> tuple[str, Callable[[Samples], Samples]]:
        picked = [channels.index(channel) for channel in contract.channels] or slice(None)
        steps = Preprocess(contract)
        key = f"input:{contract.name}" if contract.name in RESERVED else contract.name or WINDOWS
        return key, lambda window: steps(window[..., picked])

    return [maker(contract) for contract in contracts or [InputContract()]]


def scale_findings(preview: Preview, contracts: Sequence[InputContract]) -> list[Finding]:
    """Findings about the windows after the ``standardize`` steps of ``contracts``."""
    scales = step_scales(contracts, preview.channels)
    for scale in scales:
        scale.add(evenly(list(preview.windows), _LOOKED_AT))
    return [finding for scale in scales for finding in scale.findings()]


def save(path: Path, made: Mapping[str, NDArray[Any]]) -> None:
    """Write an ``.npz`` atomically."""
    arrays: dict[str, Any] = dict(made)  # numpy 2 takes a bool by name, so arrays alone do not fit its signature
    with writing_durably(path) as file:
        np.savez_compressed(file, **arrays)
