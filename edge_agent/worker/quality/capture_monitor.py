"""Everything that is learnt of a capture block by block: quality, balance of the sets, and how sure the ranges are.

Calibration windows are the ones whose number may change: fewer will do if their ranges are sure sooner, more are
gathered, up to twice as many, if they are not sure at the end. The held-out set is fixed by what it has to prove, and
the search set by the choice that it serves.
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
"""The part of the planned calibration windows below which capture does not end early: of a weight's or activation's
range, which only calibration sees, the inputs tell little."""
_EARLY_SHARE = 0.5
"""Of the tolerance, for an early end. Blocks that are skipped bring the held-out blocks closer together, where they may
resemble each other more and prove less. The one run of the demo that ended early at the tolerance itself was refused
(300 held-out windows counted as 145); other windows were judged in it, too, so that is a hint and no proof."""
_MOST = 2


class CaptureMonitor:
    """Watches the blocks of one capture as they come, or as they are read again after a crash."""

    def __init__(self, channels: list[str], size: int, scales: Sequence[StepScale] = ()) -> None:
        """Start with nothing seen; ``size`` is the samples of a window, ``scales`` what is to judge the steps."""
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
        """How many there are so far."""
        return sum(block.windows for block in self._blocks if block.split == "calibration")

    @property
    def _stability(self) -> Stability:
        """How sure the ranges are; judging takes a while, so only where somebody asks, and once a block."""
        own = [block.histograms for block in self._blocks if block.split == "calibration"]
        if self._judged.windows != self.calibration_windows and len(own) >= FEWEST_SEGMENTS:
            self._judged = judge_stability(self._channels, own, self.calibration_windows)
        return self._judged

    def add(self, block: Block, samples: Samples, windows: Callable[[], Iterable[Array]] = tuple) -> list[Finding]:
        """Look at one complete block; the findings that already condemn the capture.

        Args:
            block: which one it is.
            samples: one number a sample and channel.
            windows: makes some of its windows, as the steps are given them; asked only if there are steps to judge.
        """
        condemned = self._quality.add(samples)
        if condemned:
            return condemned
        self._blocks.append(block_stats(block.split, block.windows, samples))
        if not self._scales:
            return []
        some = list(windows())
        return [finding for scale in self._scales for finding in scale.add(some)]

    def enough(self, planned: int) -> bool:
        """Whether the ranges are sure although not all ``planned`` calibration windows are there."""
        windows = self.calibration_windows
        return _EARLIEST * planned <= windows < planned and self._stability.spread <= _EARLY_SHARE * TOLERANCE

    def missing(self, planned: int) -> int:
        """How many more calibration windows it takes for sure ranges, within twice the plan; 0 if none or unknown."""
        wanted = self._stability.enough
        if wanted is None:
            return 0
        return max(0, min(_MOST * planned, wanted) - self.calibration_windows)

    def findings(self) -> list[Finding]:
        """Everything there is to say at the end of a capture."""
        found = [*self._quality.findings(), *judge_balance(self._channels, self._blocks)]
        found += [finding for scale in self._scales for finding in scale.findings()]
        stability = self._stability
        if math.isfinite(stability.spread) and not stability.stable:
            found.append(Finding("ranges_unsure", stability.sentence, refuse=False))
        return found

    def summary(self, planned: int) -> EnoughWindows:
        """What the result object says of the number of windows, under ``data.enough.calibration``."""
        return replace(self._stability, windows=self.calibration_windows).summary(planned)
