"""Which layers the search leaves float from the start: a detector's decoding, and what joins unlike scales. Pure.

One grid of 256 steps over boxes in pixels leaves no step for scores from 0 to 1. Where such a grid would be, no range
method helps and no layer is to blame; so there the candidates that leave the whole tail float
(:mod:`edge_agent.backends.tail`) are planned beside the others and tried first. Any other model is spared the time.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from edge_agent.backends import Layer, Range

UNLIKE = 10.0
"""Tensors whose largest values differ by this factor are of unlike scale: the smaller one has 25 of 256 steps left."""

_DETECTORS = ("detection", "detection_head")


class Tail(NamedTuple):
    """What is left float from the start; nothing if empty."""

    layers: tuple[str, ...] = ()
    """Names, in graph order."""
    rest: frozenset[str] = frozenset()
    """The operators of the layers that are left to int8."""


NO_TAIL = Tail()


def float_tail(layers: Collection[Layer], kind: str, ranges: Mapping[str, Range]) -> Tail:
    """The tail of a detector, or of a model whose tail joins unlike scales; else an empty one.

    Args:
        layers: all that can be quantized, in graph order.
        kind: of the judged output.
        ranges: tensor → what calibration has found.
    """
    tail = [layer for layer in layers if layer.tail]
    if kind not in _DETECTORS and not any(_joins_unlike(layer, ranges) for layer in tail):
        return NO_TAIL
    rest = frozenset(layer.operator for layer in layers if not layer.tail)
    return Tail(tuple(layer.name for layer in tail), rest) if rest else NO_TAIL


def _joins_unlike(layer: Layer, ranges: Mapping[str, Range]) -> bool:
    """Whether a layer puts tensors side by side of which one is much larger; one that is always 0 loses nothing."""
    return layer.joins and _are_unlike(ranges[name] for name in layer.inputs if name in ranges)


def _are_unlike(ranges: Iterable[Range]) -> bool:
    sizes = [size for one in ranges if (size := max(-one.low, one.high)) > 0]
    return bool(sizes) and max(sizes) >= UNLIKE * min(sizes)
