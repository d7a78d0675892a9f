"""Checks whether a sensor's samples are fit for calibration. Pure: samples in, findings out.

The check works segment by segment (one window's length, at least 64 samples) and keeps a few numbers per segment. It
learns the normal behaviour of a channel from the channel itself:

* ``non_finite``: a NaN or Inf anywhere.
* ``stuck_channel``: a channel that mostly moves is exactly constant for several segments while another moves as usual.
  If all channels rest, none is stuck. A channel whose noise is below its resolution (some of its segments flicker by
  one step) may be constant by nature, so it is only a warning. So is a long rest that no other channel contradicts.
* ``constant_channel``: a channel never changed. This is judged at the end, because a switch may be quiet for long.
* ``clipped_channel``: a channel that moves is exactly at its largest or smallest value for much of the time. A rail
  of zero (nothing to measure) is a warning.
* ``duplicate_windows``: many windows are bit-identical.
"""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.worker.data.finding import Finding

Samples = NDArray[np.float32]
Numbers = NDArray[np.float64]

STRETCH_SAMPLES = 64
STUCK_STRETCHES, STUCK_WARN_STRETCHES = 3, 30
FLICKER_SHARE = 0.01
LIVELY_LEVELS = 8
"""A channel counts as moving if its median range is at least this many steps of its resolution."""
MOVES_AS_USUAL = 0.25
"""A segment moves as usual if its range is at least this share of the channel's median range."""
CLIPPED_SHARE, CLIPPED_WARN_SHARE = 0.1, 0.01
CLIPPED_SAMPLES = 20
DUPLICATE_SHARE = 0.2


class Quality:
    """Watches the shards of one capture as they arrive."""

    def __init__(self, channels: list[str], size: int) -> None:
        """Start with nothing seen.

        Args:
            channels: names of the columns.
            size: samples in a window.
        """
        self._channels = channels
        self._stretch = max(size, STRETCH_SAMPLES)
        self._samples = 0
        count = len(channels)
        self._low: Numbers = np.full(count, np.inf)
        self._high: Numbers = np.full(count, -np.inf)
        self._at_low = np.zeros(count, np.int64)
        self._at_high = np.zeros(count, np.int64)
        self._resolution: Numbers = np.full(count, np.inf)
        self._ranges: list[Numbers] = []
        self._digests: list[bytes] = []

    def add(self, samples: Samples) -> list[Finding]:
        """Add one shard ``[n, channels]``; returns the findings that already refuse the capture."""
        if not np.isfinite(samples).all():
            return [self._non_finite(samples)]
        values = samples.astype(np.float64)
        self._samples += len(values)
        self._count_extremes(values)
        steps = np.abs(np.diff(values, axis=0))
        steps[steps == 0] = np.inf
        self._resolution = np.minimum(self._resolution, steps.min(axis=0, initial=np.inf))
        for start in range(0, len(samples) - self._stretch + 1, self._stretch):
            self._ranges.append(np.ptp(values[start : start + self._stretch], axis=0))
            stretch = samples[start : start + self._stretch]
            self._digests.append(hashlib.blake2b(stretch.tobytes(), digest_size=12).digest())
        return [finding for finding in self._stuck() if finding.refuse]

    def findings(self) -> list[Finding]:
        """All findings at the end of a capture."""
        return [*self._stuck(), *self._constant(), *self._clipped(), *self._duplicates()]

    @property
    def constant_so_far(self) -> list[str]:
        """Channels that have not changed yet."""
        return [name for name, low, high in zip(self._channels, self._low, self._high, strict=True) if low == high]

    def _non_finite(self, samples: Samples) -> Finding:
        bad = ~np.isfinite(samples)
        channel = int(bad.sum(axis=0).argmax())
        text = f"{int(bad.any(axis=1).sum())} of {len(samples)} samples hold NaN or Inf, most of them in channel"
        return Finding(
            "non_finite", f"{text} {self._channels[channel]!r}; check the sensor and its wiring", refuse=True
        )

    def _count_extremes(self, values: Numbers) -> None:
        low, high = values.min(axis=0), values.max(axis=0)
        self._at_low[low < self._low] = 0
        self._at_high[high > self._high] = 0
        self._low, self._high = np.minimum(self._low, low), np.maximum(self._high, high)
        self._at_low += (values == self._low).sum(axis=0)
        self._at_high += (values == self._high).sum(axis=0)

    def _usual(self) -> tuple[Numbers, Numbers, NDArray[np.bool_]]:
        """Ranges [segments, channels]; each channel's median of non-zero ranges; whether the channel moves."""
        ranges = np.array(self._ranges).reshape(-1, len(self._channels))
        usual = np.array([np.median(column[column > 0]) if (column > 0).any() else 0.0 for column in ranges.T])
        return ranges, usual, usual >= LIVELY_LEVELS * self._resolution

    def _stuck(self) -> list[Finding]:
        ranges, usual, moves = self._usual()
        findings = []
        as_usual = (ranges >= MOVES_AS_USUAL * usual) & moves
        for channel in np.flatnonzero(moves):
            column = ranges[:, channel]
            flickers = np.mean((column > 0) & (column < 1.5 * self._resolution[channel])) >= FLICKER_SHARE
            witnessed = _longest_run((column == 0) & as_usual.any(axis=1))
            alone = _longest_run(column == 0)
            refuse = witnessed >= STUCK_STRETCHES and not flickers
            if not refuse and alone < STUCK_WARN_STRETCHES:
                continue
            text = f"channel {self._channels[channel]!r} stood still for {alone * self._stretch} samples"
            why = (
                " while others moved; check that channel's sensor"
                if refuse
                else ", at rest or by a fault; check whether it moves in use"
            )
            findings.append(Finding("stuck_channel", text + why, refuse))
        return findings

    def _constant(self) -> list[Finding]:
        return [
            Finding(
                "constant_channel",
                f"channel {name!r} had one value in all {self._samples} samples; check its sensor and the channel list",
                refuse=True,
            )
            for name in self.constant_so_far
        ]

    def _clipped(self) -> list[Finding]:
        _, _, moves = self._usual()
        findings = []
        for rail, counts in ((self._high, self._at_high), (self._low, self._at_low)):
            for channel in np.flatnonzero(moves):
                share = counts[channel] / self._samples
                if share < CLIPPED_WARN_SHARE or counts[channel] < CLIPPED_SAMPLES:
                    continue
                refuse = bool(share >= CLIPPED_SHARE and rail[channel] != 0)
                text = (
                    f"channel {self._channels[channel]!r} was at its rail {rail[channel]:g} in {share:.0%} of samples"
                )
                findings.append(Finding("clipped_channel", f"{text}; raise the sensor's range", refuse))
        return findings

    def _duplicates(self) -> list[Finding]:
        repeated = len(self._digests) - len(set(self._digests))
        if not repeated:
            return []
        text = f"{repeated} of {len(self._digests)} segments repeat an earlier one exactly"
        return [
            Finding(
                "duplicate_windows",
                f"{text}; let the sensor see real use while it captures",
                refuse=repeated >= DUPLICATE_SHARE * len(self._digests),
            )
        ]


def _longest_run(flags: NDArray[Any]) -> int:
    """The length of the longest run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return int(np.max(edges[1::2] - edges[::2], initial=0))
