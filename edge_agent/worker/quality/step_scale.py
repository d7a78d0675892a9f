"""Is the data that a ``standardize`` step leaves what the step promises: mean 0, deviation 1? Pure.

A sensor in other units than the model was made for gives data of the right shape and of the wrong size; int8 then
agrees with float on answers that mean nothing. Each ``standardize`` step of a contract is judged by itself, channel by
channel:

* ``scale_unlike``: a deviation far above 1, or a mean many deviations from 0. A warning, and a refusal where no use of
  the right sensor explains it. Very small deviations in all channels only warn, as a device at rest looks like that.

The largest tenth of the windows does not count: a sensor's spike is no unit. A channel that never changes is left to
``constant_channel``. One value of ``mean`` and ``std`` for all channels promises something of all of them together.

Limits were set by looking at recorded wrist movement, speech features and pictures. By the mean and deviation of other
people, deviations are at most 1.3 and means 0.3; in single windows 3 and 2. By those of one other exercise, which is a
careless way to choose them, 14 and 28. Units differ by 3.6 at least, and by 1000 mostly.
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
"""With fewer, one event could be all that was seen."""
_LOOKED_AT = 16
"""Windows of a block: steps of sound and pictures take a while."""
_KEEPS_CHANNELS = ("standardize", "scale", "clip", "cast", "resize", "center_crop")
_MANY_NAMES = 8
_SAME_UNIT = 2.0
"""Numbers that are less than so many times as large differ in level alone."""
_ROUNDING = 1e-10
"""A variance below this part of the mean square is rounding: the channel stands still."""

Array = NDArray[Any]
_One = TypeVar("_One")


class StepScale:
    """Watches what one ``standardize`` step makes of windows."""

    def __init__(self, contract: InputContract, number: int, columns: Sequence[str]) -> None:
        """Start with nothing seen.

        Args:
            contract: of one input.
            number: of the step in it, from 1.
            columns: the channels of the windows that will come.
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
        """Look at raw windows ``[size, ..., columns]``, all finite; the finding that already condemns them."""
        for window in windows:
            values = self._run(window[..., self._picked]).astype(np.float64)
            values = values.reshape(-1, 1 if self._together else values.shape[-1])
            if not np.isfinite(values).all():
                continue  # ``non_finite`` says that
            self._means.append(values.mean(axis=0))
            self._squares.append((values**2).mean(axis=0))
        return [finding for finding in self.findings() if finding.refuse] if len(self._means) >= _EARLY_WINDOWS else []

    def findings(self) -> list[Finding]:
        """What there is to say of all that came."""
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
        """Of each channel, over all windows but the largest."""
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
            text += f"; far off too: {self._named(others)}"
        factor = self._factor(worst, float(mean[worst]), float(std[worst]))
        known = known_factor(factor)
        hint = "" if known is None else f" ({known}?)"
        if factor < _SAME_UNIT:  # turned around, a sensor shows another level, near 0 too
            text += f"{hint}; check unit and mounting of the sensor, and the step's mean and std"
            return Finding("scale_unlike", text, refuse)
        remedy = self._remedy(factor if known is None else known.value, everywhere=len(places) == len(mean))
        text += f"; its numbers are about {factor:.3g} times what the model was made for{hint}: {remedy}"
        return Finding("scale_unlike", text, refuse)

    def _at_rest(self, moving: Array) -> Finding:
        factor = float(np.median(moving))
        known = known_factor(factor)
        hint = f" ({known}?)" if known is not None else ""
        text = f"no channel's deviation is above {moving.max():.2g} after {self._where}, where 1 is expected{hint}"
        return Finding("scale_unlike", f"{text}; move the sensor as in use, or check its unit", refuse=False)

    def _factor(self, place: int, mean: float, std: float) -> float:
        """How many times too large a channel's raw numbers are, by their root mean square: level and movement."""
        expected = [values[place % len(values)] for values in (self._expected.mean, self._expected.std)]
        raw = math.hypot(expected[0] + expected[1] * mean, expected[1] * std)
        return raw / math.hypot(*expected)

    def _remedy(self, factor: float, *, everywhere: bool) -> str:
        if everywhere:
            return f'correct the unit, or put {{ op = "scale", factor = {1 / factor:.6g} }} before the step'
        return f"correct the unit, or multiply mean and std of these channels by {factor:.6g}"

    def _named(self, places: Sequence[int]) -> str:
        if self._together:
            return "what all channels give together"
        shown = places[:_MANY_NAMES]
        more = f" and {len(places) - len(shown)} more" if len(places) > len(shown) else ""
        if not self._names:
            return f"place {', '.join(str(place) for place in shown)} of the last axis{more}"
        word = "channel" if len(places) == 1 else "channels"
        return f"{word} {', '.join(repr(self._names[place]) for place in shown)}{more}"


def step_scales(contracts: Iterable[InputContract], columns: Sequence[str]) -> list[StepScale]:
    """One for each ``standardize`` step of ``contracts``, which are all fed windows of ``columns``."""
    return [
        StepScale(contract, number, columns)
        for contract in contracts
        for number, (_, step) in enumerate(read_steps(contract), 1)
        if isinstance(step, Standardize)
    ]


def some_windows(samples: Array, block: Block) -> list[Array]:
    """Windows of a block whose ``samples`` have the windows' rate; few, from all over it."""
    starts = evenly(range(0, block.windows * block.step, block.step))
    return [samples[start : start + block.size] for start in starts]


def evenly(things: Sequence[_One], most: int = _LOOKED_AT) -> list[_One]:
    """At most ``most`` of ``things``, from all over them."""
    count = min(most, len(things))
    return [things[place * len(things) // count] for place in range(count)]
