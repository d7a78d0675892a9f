"""Checks that the data after a ``standardize`` step have mean 0 and standard deviation 1, as the step promises. Pure.

A sensor in other units than the model's gives data of the right shape and the wrong scale. int8 then agrees with float
on meaningless answers. Each ``standardize`` step of a contract is judged by itself, channel by channel:

* ``scale_unlike``: a standard deviation far above 1, or a mean many deviations from 0. This is a warning, or a refusal
  if no use of the right sensor explains it. Very small deviations in all channels only warn, because a device at rest
  looks like that.

The largest tenth of the windows is ignored, because a spike of the sensor is not a unit error. A channel that never
changes is left to ``constant_channel``. A single ``mean`` and ``std`` for all channels is judged on all of them
together.

The limits rest on recorded wrist movement, speech features and pictures. Standardized with the mean and deviation of
other people, deviations are at most 1.3 and means at most 0.3; in single windows 3 and 2. With those of one other
exercise, a careless choice, they are 14 and 28. Units differ by a factor of 3.6 at least, and mostly of 1000.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_agent.preprocess import Preprocess
from edge_agent.wire.manifest import InputContract
from edge_agent.wire.steps import read_steps
from edge_agent.wire.steps.basic import Standardize
from edge_agent.worker.data.finding import Finding
from edge_agent.worker.data.split import Block
from edge_agent.worker.quality.units import known_factor

STD_WARN, STD_REFUSE = 3.0, 30.0
MEAN_WARN, MEAN_REFUSE = 5.0, 100.0
STD_AT_REST = 0.02
_LARGEST_SHARE = 0.1
_EARLY_WINDOWS = 8
"""With fewer windows, a single event could dominate."""
_LOOKED_AT = 16
"""Windows checked per block: steps for sound and pictures are slow."""
_KEEPS_CHANNELS = ("standardize", "scale", "clip", "cast", "resize", "center_crop")
_MANY_NAMES = 8
_SAME_UNIT = 2.0
"""Below this factor, numbers differ in level only, not in unit."""
_ROUNDING = 1e-10
"""A variance below this share of the mean square is rounding error: the channel is constant."""

Array = NDArray[Any]
_One = TypeVar("_One")


class StepScale:
    """Watches the windows after one ``standardize`` step."""

    def __init__(self, contract: InputContract, number: int, columns: Sequence[str]) -> None:
        """Start with nothing seen.

        Args:
            contract: the contract of one input.
            number: the step's number in the contract, from 1.
            columns: the channels of the windows to come.
        """
        steps = read_steps(contract)
        step = steps[number - 1][1]
        if not isinstance(step, Standardize):
            raise TypeError(f"step {number} is {step}")
        self._where = f"step {number} (standardize)" + (f" of input {contract.name!r}" if contract.name else "")
        self._expected = step
        self._together = len(step.mean) == len(step.std) == 1
        self._run = Preprocess(msgspec.structs.replace(contract, steps=contract.steps[:number]))
        self._picked: Any = [columns.index(channel) for channel in contract.channels] or slice(None)
        kept = all(name in _KEEPS_CHANNELS for name, _ in steps[: number - 1])
        self._names = list(contract.channels or columns) if kept else []
        self._means: list[Array] = []
        self._squares: list[Array] = []

    def add(self, windows: Iterable[Array]) -> list[Finding]:
        """Add raw windows ``[size, ..., columns]``, all finite; returns the findings that already refuse the data."""
        for window in windows:
            values = self._run(window[..., self._picked]).astype(np.float64)
            values = values.reshape(-1, 1 if self._together else values.shape[-1])
            if not np.isfinite(values).all():
                continue  # ``non_finite`` reports this
            self._means.append(values.mean(axis=0))
            self._squares.append((values**2).mean(axis=0))
        return [finding for finding in self.findings() if finding.refuse] if len(self._means) >= _EARLY_WINDOWS else []

    def findings(self) -> list[Finding]:
        """The findings about all windows so far."""
        if not self._means:
            return []
        mean, std = self._mean_and_std()
        far = (std >= STD_WARN) | ((np.abs(mean) >= MEAN_WARN) & (std > 0))
        if far.any():
            return [self._far(mean, std, far)]
        moving = std[std > 0]
        if moving.size and (moving < STD_AT_REST).all():
            return [self._at_rest(moving)]
        return []

    def _mean_and_std(self) -> tuple[Array, Array]:
        """Mean and standard deviation of each channel, over all windows but the largest tenth."""
        means, squares = np.array(self._means), np.array(self._squares)
        count = len(means) - max(1, round(_LARGEST_SHARE * len(means))) if len(means) > 1 else 1
        kept = np.argsort(squares, axis=0, kind="stable")[:count]
        mean = np.take_along_axis(means, kept, axis=0).mean(axis=0)
        square = np.take_along_axis(squares, kept, axis=0).mean(axis=0)
        variance = np.maximum(square - mean**2, 0.0)
        return mean, np.sqrt(np.where(variance > _ROUNDING * square, variance, 0.0))

    def _far(self, mean: Array, std: Array, far: Array) -> Finding:
        refuse = bool(((std >= STD_REFUSE) | ((np.abs(mean) >= MEAN_REFUSE) & (std > 0))).any())
        places = np.flatnonzero(far)
        worst = int(places[np.argmax((mean**2 + std**2)[places])])
        text = f"{self._named([worst])} has mean {mean[worst]:.3g} and deviation {std[worst]:.3g} after {self._where}, "
        text += "where 0 and 1 are expected"
        others = [int(place) for place in places if place != worst]
        if others:
            text += f"; also far off: {self._named(others)}"
        factor = self._factor(worst, float(mean[worst]), float(std[worst]))
        known = known_factor(factor)
        hint = "" if known is None else f" ({known}?)"
        if factor < _SAME_UNIT:  # a sensor mounted the other way round shows another level, even near 0
            text += f"{hint}; check the sensor's unit and mounting, and the step's mean and std"
            return Finding("scale_unlike", text, refuse)
        remedy = self._remedy(factor if known is None else known.value, everywhere=len(places) == len(mean))
        text += f"; its numbers are about {factor:.3g} times those that the model expects{hint}: {remedy}"
        return Finding("scale_unlike", text, refuse)

    def _at_rest(self, moving: Array) -> Finding:
        factor = float(np.median(moving))
        known = known_factor(factor)
        hint = f" ({known}?)" if known is not None else ""
        text = f"no channel's deviation is above {moving.max():.2g} after {self._where}, where 1 is expected{hint}"
        return Finding("scale_unlike", f"{text}; move the sensor as in real use, or check its unit", refuse=False)

    def _factor(self, place: int, mean: float, std: float) -> float:
        """The factor by which a channel's raw numbers are too large, by their root mean square: level and movement."""
        expected = [values[place % len(values)] for values in (self._expected.mean, self._expected.std)]
        raw = math.hypot(expected[0] + expected[1] * mean, expected[1] * std)
        return raw / math.hypot(*expected)

    def _remedy(self, factor: float, *, everywhere: bool) -> str:
        if everywhere:
            return f'correct the unit, or put {{ op = "scale", factor = {1 / factor:.6g} }} before the step'
        return f"correct the unit, or multiply mean and std of these channels by {factor:.6g}"

    def _named(self, places: Sequence[int]) -> str:
        if self._together:
            return "the data of all channels together"
        shown = places[:_MANY_NAMES]
        more = f" and {len(places) - len(shown)} more" if len(places) > len(shown) else ""
        if not self._names:
            return f"place {', '.join(str(place) for place in shown)} of the last axis{more}"
        word = "channel" if len(places) == 1 else "channels"
        return f"{word} {', '.join(repr(self._names[place]) for place in shown)}{more}"


def step_scales(contracts: Iterable[InputContract], columns: Sequence[str]) -> list[StepScale]:
    """One check for each ``standardize`` step of ``contracts``, all fed with windows of ``columns``."""
    return [
        StepScale(contract, number, columns)
        for contract in contracts
        for number, (_, step) in enumerate(read_steps(contract), 1)
        if isinstance(step, Standardize)
    ]


def some_windows(samples: Array, block: Block) -> list[Array]:
    """A few windows, spread evenly over a block whose ``samples`` have the windows' rate."""
    starts = evenly(range(0, block.windows * block.step, block.step))
    return [samples[start : start + block.size] for start in starts]


def evenly(things: Sequence[_One], most: int = _LOOKED_AT) -> list[_One]:
    """At most ``most`` of ``things``, evenly spaced."""
    count = min(most, len(things))
    return [things[place * len(things) // count] for place in range(count)]
