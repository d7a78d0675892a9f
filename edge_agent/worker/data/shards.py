"""The blocks of a capture on disk: each complete block becomes one fsynced ``.npy`` that survives a crash.

``plan.json`` identifies the capture that the shards belong to. A folder with another plan is cleared.
"""

import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_agent.state.durable import fsync_dir, write_durably
from edge_agent.worker.data.sets import Shard, ShardSets
from edge_agent.worker.data.split import SPLITS, Block, Split

PLAN_FILE = "plan.json"
Samples = NDArray[Any]
"""``[n, *frame_shape, channels]``: float32, or uint8 of pictures."""


class Plan(msgspec.Struct, frozen=True):
    """The plan of a capture: the source, the channels in the order of the shards' columns, and the blocks."""

    source: str
    channels: list[str]
    blocks: list[Block]
    ratio: tuple[int, int] = (1, 1)
    """The windows' rate divided by the source's."""


class ShardFolder:
    """The shards in ``folder`` that belong to ``plan``."""

    def __init__(self, folder: Path, plan: Plan, *, keep: bool) -> None:
        """Resume an interrupted capture if ``keep`` is set and its plan is the same; otherwise clear the folder."""
        self._folder = folder
        self._plan = plan
        wanted = msgspec.json.encode(plan)
        path = folder / PLAN_FILE
        if not keep or not path.exists() or path.read_bytes() != wanted:
            for old in (*folder.glob("*.npy"), *folder.glob("*.skipped")):
                old.unlink()
            write_durably(path, wanted)

    @property
    def done(self) -> int:
        """The number of complete or skipped blocks, which are the first ones of the plan."""
        count = len(self._plan.blocks)
        missing = (index for index in range(count) if not (self._path(index).exists() or self.skipped(index)))
        return next(missing, count)

    def skip(self, index: int) -> None:
        """Mark a block as not needed; this is permanent."""
        write_durably(self._path(index).with_suffix(".skipped"), b"")

    def skipped(self, index: int) -> bool:
        """Whether the block was marked as not needed."""
        return self._path(index).with_suffix(".skipped").exists()

    def extend(self, plan: Plan) -> None:
        """Continue with ``plan``, which starts with the blocks of the former plan.

        ``plan.json`` stays unchanged: it identifies the capture, and the extension follows from the captured data.
        """
        self._plan = plan

    def load(self, index: int) -> Samples:
        """The samples of a complete block."""
        samples: Samples = np.load(self._path(index), allow_pickle=False)
        return samples

    def save(self, index: int, samples: Samples) -> None:
        """Write a complete block durably: it is on disk when this returns."""
        path = self._path(index)
        temporary = path.with_suffix(".part")
        with temporary.open("wb") as file:
            np.save(file, samples, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        fsync_dir(self._folder)

    def sets(self) -> ShardSets:
        """The complete blocks by set, in time order."""
        shards: dict[Split, list[Shard]] = {split: [] for split in SPLITS}
        for index in range(self.done):
            if self.skipped(index):
                continue
            block = self._plan.blocks[index]
            shards[block.split].append(Shard(self._path(index).name, block.windows, block.size, block.step))
        return ShardSets(channels=self._plan.channels, ratio=self._plan.ratio, **shards)

    def _path(self, index: int) -> Path:
        return self._folder / f"{index:04}-{self._plan.blocks[index].split}.npy"
