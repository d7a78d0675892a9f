"""Monitors a capture block by block: quality, balance of the sets, and certainty of the ranges.

Only the number of calibration windows may change. Fewer are captured if their ranges are certain early. More, up to
twice as many, are captured if the ranges are uncertain at the end. The size of the held-out set follows from the proof
it must give, and that of the search set from the choice it serves.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from edge_agent.calibration.stability import FEWEST_SEGMENTS, TOLERANCE, Stability, judge_stability
from edge_agent.jobs.data_summary import EnoughWindows
from edge_agent.worker.data.finding import Finding
from edge_agent.worker.data.split import Block
from edge_agent.worker.quality.balance import judge_balance
from edge_agent.worker.quality.block_stats import BlockStats, Samples, block_stats
from edge_agent.worker.quality.channels import Quality
from edge_agent.worker.quality.step_scale import Array, StepScale

_EARLIEST = 0.5
"""The least share of the planned calibration windows before capture may end early. The inputs say little about the
ranges of activations, which only the calibrate stage sees."""
_EARLY_SHARE = 0.5
"""The share of the tolerance that an early end requires. Skipped blocks bring the held-out blocks closer together,
where they may resemble each other more and prove less. One demo run ended early at the full tolerance and was refused
(300 held-out windows counted as 145). It judged other windows as well, so this is a hint and not a proof."""
_MOST = 2


class CaptureMonitor:
    """Watches the blocks of one capture as they arrive, or as they are read again after a crash."""

    def __init__(self, channels: list[str], size: int, scales: Sequence[StepScale] = ()) -> None:
        """Start with nothing seen; ``size``: samples in a window; ``scales``: the checks of the steps."""
        self._channels = channels
        self._scales = scales
        self._quality = Quality(channels, size)
        self._blocks: list[BlockStats] = []
        self._judged = Stability(0, math.inf, channels[0])

    @property
    def constant_so_far(self) -> list[str]:
        """Channels that have not changed yet."""
        return self._quality.constant_so_far

    @property
    def calibration_windows(self) -> int:
        """The number of calibration windows so far."""
        return sum(block.windows for block in self._blocks if block.split == "calibration")

    @property
    def _stability(self) -> Stability:
        """The certainty of the ranges. The computation is slow, so it runs on demand and once per block."""
        own = [block.histograms for block in self._blocks if block.split == "calibration"]
        if self._judged.windows != self.calibration_windows and len(own) >= FEWEST_SEGMENTS:
            self._judged = judge_stability(self._channels, own, self.calibration_windows)
        return self._judged

    def add(self, block: Block, samples: Samples, windows: Callable[[], Iterable[Array]] = tuple) -> list[Finding]:
        """Add one complete block; returns the findings that already refuse the capture.

        Args:
            block: the block.
            samples: one number per sample and channel.
            windows: makes some of the block's windows, in the form that the steps take; called only if there are steps
                to check.
        """
        refusing = self._quality.add(samples)
        if refusing:
            return refusing
        self._blocks.append(block_stats(block.split, block.windows, samples))
        if not self._scales:
            return []
        some = list(windows())
        return [finding for scale in self._scales for finding in scale.add(some)]

    def enough(self, planned: int) -> bool:
        """Whether the ranges are certain before all ``planned`` calibration windows are captured."""
        windows = self.calibration_windows
        return _EARLIEST * planned <= windows < planned and self._stability.spread <= _EARLY_SHARE * TOLERANCE

    def missing(self, planned: int) -> int:
        """Additional calibration windows needed for certain ranges, within twice the plan; 0 if none or unknown."""
        wanted = self._stability.enough
        if wanted is None:
            return 0
        return max(0, min(_MOST * planned, wanted) - self.calibration_windows)

    def findings(self) -> list[Finding]:
        """All findings at the end of a capture."""
        found = [*self._quality.findings(), *judge_balance(self._channels, self._blocks)]
        found += [finding for scale in self._scales for finding in scale.findings()]
        stability = self._stability
        if math.isfinite(stability.spread) and not stability.stable:
            found.append(Finding("ranges_unsure", stability.sentence, refuse=False))
        return found

    def summary(self, planned: int) -> EnoughWindows:
        """The statement on the number of windows in the result object, ``data.enough.calibration``."""
        return replace(self._stability, windows=self.calibration_windows).summary(planned)
