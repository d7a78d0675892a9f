"""Hands what a sensor sends to its reservoir, and says how that goes. Without one to fill it does nothing."""

from pathlib import Path

import numpy as np

from edge_agent.sensing.frames import Batch, Hello
from edge_agent.shared import KEPT_FOLDER, Keeping, SourceState

_MB = 1e6
_DAY_S = 86_400.0
_HOUR_S = 3600.0


class Keeper:
    """The reservoir of one sensor, made when its shape is known."""

    def __init__(self, folder: Path, keeping: Keeping) -> None:
        self._folder = folder / KEPT_FOLDER
        self._keeping = keeping
        self._reservoir = None
        self._shape = None
        self._broken = True
        self._left_out = 0

    def begin(self, hello: Hello) -> None:
        """The sensor is open, as the one before or as another."""
        if not self._keeping.keep_windows:
            return
        samples = self._keeping.stretch_samples(hello.rate_hz, pictures=bool(hello.frame_shape))
        shape = Shape(hello.channels, hello.frame_shape, hello.dtype.str, hello.rate_hz, samples)
        self._broken = True
        if shape == self._shape:
            return
        self.close()
        self._shape = shape
        self._reservoir = Reservoir(
            self._folder,
            shape,
            stretches=self._keeping.keep_windows,
            write_budget_mb_per_day=self._keeping.keep_mb_per_day,
        )

    def add(self, batch: Batch) -> None:
        """Let the reservoir have a batch; one that holds NaN or Inf would spoil every set, so it is left out."""
        if self._reservoir is None:
            return
        if not np.isfinite(batch.samples).all():
            self._left_out += len(batch.samples)
            self._broken = True
            return
        self._reservoir.add(batch.samples, batch.time_s, gap=batch.gap or self._broken)
        self._broken = False

    def describe(self, state: SourceState) -> SourceState:
        """``state`` with what is known of what is kept."""
        return state

    def close(self) -> None:
        """Put on disk what can be."""
        if self._reservoir is not None:
            self._reservoir.close()
            self._reservoir = None
