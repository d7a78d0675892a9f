"""The noise-to-signal ratio of one output, summed over its groups of channels of similar scale. Pure.

A sum, as errors of several roundings add up (:mod:`edge_agent.worker.search.layer_selection`). It is relative in each
group, as an error that wipes out a detector's scores is negligible compared with the power of its boxes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.quant.kinds.kind import row
from edge_agent.quant.scale_groups import ChannelScales, ScaleGroup


class OutputError:
    """Learn the scales from float's outputs with :meth:`observe`, then measure with the objects from :meth:`fresh`."""

    def __init__(self, scales: ChannelScales | None = None) -> None:
        self._scales = ChannelScales() if scales is None else scales
        self._noise: dict[int, float] = {}
        self._signal: dict[int, float] = {}

    def observe(self, reference: NDArray[Any]) -> None:
        """Learn the scales from one of float's outputs."""
        self._scales.add(row(reference))

    def fresh(self) -> "OutputError":
        """A new object with the same scales and no measurements."""
        return OutputError(self._scales)

    def add(self, reference: NDArray[Any], output: NDArray[Any]) -> None:
        """Measure one output against float's; one of another shape, or one that is not finite, is all noise."""
        wanted, got = row(reference), row(output)
        sound = wanted.shape == got.shape and bool(np.isfinite(got).all())
        for place, group in enumerate(self._judged):
            first = wanted if group is None else group.take(wanted)
            power = float(np.sum(np.square(first)))
            error = float(np.sum(np.square((got if group is None else group.take(got)) - first))) if sound else power
            self._noise[place] = self._noise.get(place, 0.0) + error
            self._signal[place] = self._signal.get(place, 0.0) + power

    @property
    def relative(self) -> float:
        """The sum of noise / signal over the groups, each limited to 1, as more than all cannot be lost."""
        return sum(min(noise / self._signal[place], 1.0) for place, noise in self._noise.items() if self._signal[place])

    @property
    def _judged(self) -> Sequence[ScaleGroup | None]:
        return [group for group in self._scales.groups if group.judged] or [None]
