"""The recipe's preference as one number per candidate, and the order that follows. Pure.

The number is the weighted sum of the logarithms of three ratios, int8 to float, for time, size and memory; lower is
better. With logarithms, half the time and twice the size cancel if both have the same weight. Time and memory are
measured, so numbers that differ by no more than the measurement error are a tie.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from dataclasses import replace as dataclass_replace
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from msgspec.structs import replace

from edge_agent.jobs.result import MeasuredModel
from edge_agent.quant.gain import Gain, gains
from edge_agent.wire.manifest import Preference
from edge_agent.worker.measure.memory import kept_ratio

T = TypeVar("T")


class Weights(NamedTuple):
    """The weight of each axis."""

    time: float
    size: float
    memory: float


WEIGHTS: Mapping[Preference, Weights] = MappingProxyType(
    {
        "speed": Weights(1.0, 0.0, 0.0),
        "size": Weights(0.0, 1.0, 0.0),
        "memory": Weights(0.0, 0.0, 1.0),
        "balanced": Weights(0.5, 0.25, 0.25),
    }
)


@dataclass(frozen=True, slots=True)
class Costs:
    """The costs of a candidate as ratios to float's; None: not measured."""

    time: float | None
    size: float | None
    memory: float | None = None

    @property
    def gain(self) -> Gain:
        """The costs as a gain over float."""
        return gains(time_ratio=self.time, size_ratio=self.size, memory_ratio=self.memory)


def score(costs: Costs, prefer: Preference) -> float:
    """The number of a candidate: 0 is float's, lower is better. An axis without a measurement does not count."""
    axes = zip(WEIGHTS[prefer], (costs.time, costs.size, costs.memory), strict=True)
    return math.fsum(weight * math.log(ratio) for weight, ratio in axes if ratio is not None and ratio > 0)


def preferred(model: MeasuredModel, reference: MeasuredModel, prefer: Preference) -> MeasuredModel:
    """``model`` with its preference number."""
    return replace(model, preference=score(costs(model, reference), prefer))


def costs(model: MeasuredModel, reference: MeasuredModel) -> Costs:
    """The costs of a candidate as ratios to float's, as far as both were measured."""
    size = memory = None
    if model.disk_bytes and reference.size_bytes:
        size = model.disk_bytes / reference.size_bytes
    if model.steady_rss_bytes is not None and reference.steady_rss_bytes is not None:
        memory = kept_ratio(model.steady_rss_bytes, reference.steady_rss_bytes)
    return Costs(model.ratio_p50, size, memory)


def file_costs(model: MeasuredModel, reference: MeasuredModel) -> Costs:
    """The costs of a model beside one that was never given an optimised form: sizes are of model files alone."""
    found = costs(replace(model, form_bytes=None), reference)
    return found if model.memory_ratio is None else dataclass_replace(found, memory=model.memory_ratio)


def tie(prefer: Preference, margin: float) -> float:
    """The difference of preference numbers that is still a tie, if times and memory within ``margin`` are a tie."""
    weights = WEIGHTS[prefer]
    return max(weights.time, weights.memory) * math.log1p(margin)


def tied(items: Iterable[T], number: Callable[[T], float], apart: float) -> Iterator[list[T]]:
    """Yield groups of tied items, lowest ``number`` first.

    A group holds the items no more than ``apart`` above the lowest remaining item. The order of two similar items thus
    does not depend on which one was measured slightly lower.
    """
    left = sorted(items, key=number)
    while left:
        most = number(left[0]) + apart
        one = [item for item in left if number(item) <= most]
        left = left[len(one) :]
        yield one
