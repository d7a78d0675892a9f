"""The blocks of a capture on disk: each becomes one fsynced ``.npy`` when it is complete, and survives a crash.

``plan.json`` says what the shards belong to; a folder with another plan is cleared.
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
    """What is captured: the channels in the order of the shards' columns, from which source, in which blocks."""

    source: str
    channels: list[str]
    blocks: list[Block]
    ratio: tuple[int, int] = (1, 1)
    """The windows' rate over the source's."""


class ShardFolder:
    """The shards in ``folder`` that belong to ``plan``."""

    def __init__(self, folder: Path, plan: Plan, *, keep: bool) -> None:
        """Go on with what an interrupted capture left, if ``keep`` and its plan is the same; else begin anew."""
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
        """How many blocks are complete or skipped; they are the first ones of the plan."""
        count = len(self._plan.blocks)
        missing = (index for index in range(count) if not (self._path(index).exists() or self.skipped(index)))
        return next(missing, count)

    def skip(self, index: int) -> None:
        """Decide for good that a block is not needed."""
        write_durably(self._path(index).with_suffix(".skipped"), b"")

    def skipped(self, index: int) -> bool:
        """Whether it was decided that the block is not needed."""
        return self._path(index).with_suffix(".skipped").exists()

    def extend(self, plan: Plan) -> None:
        """Go on with ``plan``, which begins with the blocks of the one before.

        ``plan.json`` stays: it tells which capture this is, and how it was extended follows from what came.
        """
        self._plan = plan

    def load(self, index: int) -> Samples:
        """The samples of a complete block."""
        samples: Samples = np.load(self._path(index), allow_pickle=False)
        return samples

    def save(self, index: int, samples: Samples) -> None:
        """Write a complete block; when this returns it is on disk."""
        path = self._path(index)
        temporary = path.with_suffix(".part")
        with temporary.open("wb") as file:
            np.save(file, samples, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        fsync_dir(self._folder)

    def sets(self) -> ShardSets:
        """The complete blocks by set, in the order of time."""
        shards: dict[Split, list[Shard]] = {split: [] for split in SPLITS}
        for index in range(self.done):
            if self.skipped(index):
                continue
            block = self._plan.blocks[index]
            shards[block.split].append(Shard(self._path(index).name, block.windows, block.size, block.step))
        return ShardSets(channels=self._plan.channels, ratio=self._plan.ratio, **shards)

    def _path(self, index: int) -> Path:
        return self._folder / f"{index:04}-{self._plan.blocks[index].split}.npy"
