"""The queue of a capture's blocks in time order: the next block, skipped blocks, and additional blocks.

The number of calibration windows depends on their data (:mod:`edge_agent.worker.quality.capture_monitor`). A skipped
block leaves a mark on disk in place of its samples. The extension of the plan follows from the blocks before it.
"""

import msgspec

from edge_agent.jobs.data_summary import Data, Enough, SetSummary
from edge_agent.preprocess.resample import Resampler
from edge_agent.worker.capture import source_fit
from edge_agent.worker.data.finding import refuse
from edge_agent.worker.data.sets import ShardSets
from edge_agent.worker.data.shards import Plan, ShardFolder
from edge_agent.worker.data.split import Block, Split, samples_needed
from edge_agent.worker.quality.capture_monitor import CaptureMonitor
from edge_agent.worker.quality.step_scale import some_windows


class BlockQueue:
    """The remaining blocks of a plan."""

    def __init__(self, plan: Plan, shards: ShardFolder, monitor: CaptureMonitor, resample: Resampler) -> None:
        """Resume from the blocks in ``shards``; ``monitor`` has seen none of them yet."""
        self.plan = plan
        self._shards, self._monitor, self._resample = shards, monitor, resample
        self._planned = sum(block.windows for block in plan.blocks if block.split == "calibration")
        self._extended = False
        self._done = shards.done

    @property
    def next(self) -> Block | None:
        """The next block to capture; None if none is left."""
        return self.plan.blocks[self._done] if self._done < len(self.plan.blocks) else None

    @property
    def gap(self) -> int:
        """Samples to discard before the next block."""
        return self.plan.blocks[self._done].gap if self._done and self.next else 0

    @property
    def left(self) -> int:
        """Samples still needed, gaps included."""
        blocks = [block for block in self.plan.blocks[self._done :] if not self._is_needless(block)]
        return samples_needed(blocks) + (blocks[0].gap if self._done and blocks else 0)

    @property
    def samples_ahead(self) -> int:
        """Samples of all blocks that may still be written to disk."""
        return sum(block.samples for block in self.plan.blocks[self._done :])

    def look_back(self, first: int = 0) -> None:
        """Judge again the blocks that an interrupted capture left, from block ``first`` on."""
        for index in range(first, self._done):
            if not self._shards.skipped(index):
                self._judge(self.plan.blocks[index], self._shards.load(index))

    def add(self, samples: source_fit.Samples) -> None:
        """Judge the completed next block, write it to disk, and skip the blocks that it makes needless.

        Raises:
            Refusal: the data's quality.
        """
        self._judge(self.plan.blocks[self._done], samples)
        self._shards.save(self._done, samples)
        self._done += 1
        while (block := self.next) is not None and self._is_needless(block):
            self._shards.skip(self._done)
            self._done += 1

    def extend(self, available: float) -> bool:
        """Add calibration blocks to the plan, once, if the ranges are uncertain; returns whether there is a next block.

        ``available``: samples that the source can still send. A recording may hold too few.
        """
        wanted = 0 if self._extended else self._monitor.missing(self._planned)
        self._extended = True
        extra: list[Block] = []
        for block in self.plan.blocks:
            if block.split == "calibration" and sum(more.windows for more in extra) < wanted:
                extra.append(block)
        if not extra or available < samples_needed(extra) + extra[0].gap:
            return False
        first = self._done
        self.plan = msgspec.structs.replace(self.plan, blocks=[*self.plan.blocks, *extra])
        self._shards.extend(self.plan)
        self._done = self._shards.done
        self.look_back(first)
        return self.next is not None

    def sets(self) -> ShardSets:
        """The complete blocks by set, in time order."""
        return self._shards.sets()

    def summary(self, rate_hz: float) -> Data:
        """The result object's summary of each set and of the number of windows, for a source of ``rate_hz``."""
        return Data(
            calibration=self._summary("calibration", rate_hz),
            search=self._summary("search", rate_hz),
            heldout=self._summary("heldout", rate_hz),
            enough=Enough(calibration=self._monitor.summary(self._planned)),
        )

    def _summary(self, split: Split, rate_hz: float) -> SetSummary:
        blocks = enumerate(self.plan.blocks)
        own = [block for index, block in blocks if block.split == split and not self._shards.skipped(index)]
        samples = sum(block.samples for block in own)
        return SetSummary(
            windows=sum(block.windows for block in own),
            samples=samples,
            seconds=round(samples / rate_hz, 3),
            blocks=len(own),
        )

    def _judge(self, block: Block, samples: source_fit.Samples) -> None:
        levels = source_fit.levels(samples)
        refuse(self._monitor.add(block, levels, lambda: some_windows(self._resample(samples), block)))

    def _is_needless(self, block: Block) -> bool:
        """Whether the ranges are certain without this block."""
        return block.split == "calibration" and self._monitor.enough(self._planned)
