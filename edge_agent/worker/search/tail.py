"""Finds the layers that the search leaves float from the start: a detector's decoding, or joins of unlike scales. Pure.

The *tail* of a graph consists of the nodes that lead to no further layer with weights. In a detector they decode boxes.
They do almost no work, and they join boxes in pixels with scores from 0 to 1. One grid of 256 steps leaves no step for
the scores, whatever the range method, and no single layer is the cause. For such a model, candidates with a float tail
are planned beside the others and tried first. Other models do not spend time on them.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from edge_agent.backends import Flow, Layer, Node, Range

UNLIKE = 10.0
"""Tensors whose largest values differ by this factor have unlike scales: the smaller one has 25 of 256 steps left."""

_NEXT_TO_NONE = 1e-4
"""A layer with less than this part of the model's weights only decodes. The convolution that sums up a box's
distribution has sixteen weights (Li et al. 2020, "Generalized Focal Loss")."""

_DETECTORS = frozenset({"detection", "detection_head"})


class Tail(NamedTuple):
    """The layers that are left float from the start, if any."""

    layers: tuple[str, ...] = ()
    """Names, in graph order."""
    rest: frozenset[str] = frozenset()
    """The operators of the layers that may become int8."""


NO_TAIL = Tail()


def float_tail(
    flow: Flow, layers: Collection[Layer], kinds: Collection[str], judged: Collection[int], ranges: Mapping[str, Range]
) -> Tail:
    """The tail of a detector, or of a model whose judged output joins unlike scales; otherwise an empty tail.

    Args:
        flow: the graph.
        layers: the quantizable nodes.
        kinds: the known kinds of the outputs.
        judged: the positions of the outputs that make up the judged output.
        ranges: tensor → its calibrated range.
    """
    tail = tail_nodes(flow.nodes)
    judged_tail = _leading_to([flow.outputs[place] for place in judged], tail)
    if _DETECTORS.isdisjoint(kinds) and not any(_joins_unlike(node, ranges) for node in judged_tail):
        return NO_TAIL
    names = {node.name for node in tail}
    rest = frozenset(layer.operator for layer in layers if layer.name not in names)
    return Tail(tuple(layer.name for layer in layers if layer.name in names), rest) if rest else NO_TAIL


def tail_nodes(nodes: Sequence[Node]) -> list[Node]:
    """The nodes that lead to no further layer with a relevant number of weights."""
    least = sum(node.weights for node in nodes if node.weights < float("inf")) * _NEXT_TO_NONE
    before: set[str] = set()
    tail: list[Node] = []
    for node in reversed(nodes):
        if node.weights > least or not before.isdisjoint(node.outputs):
            before.update(node.inputs)
        else:
            tail.append(node)
    return tail[::-1] if before else []


def _leading_to(outputs: Collection[str], nodes: Sequence[Node]) -> list[Node]:
    """The ``nodes`` that compute ``outputs``."""
    wanted = set(outputs)
    found = []
    for node in reversed(nodes):
        if not wanted.isdisjoint(node.outputs):
            wanted.update(node.inputs)
            found.append(node)
    return found


def _joins_unlike(node: Node, ranges: Mapping[str, Range]) -> bool:
    """Whether a node joins tensors of which one is much larger; a tensor that is always 0 loses nothing."""
    return node.joins and _are_unlike(ranges[name] for name in node.inputs if name in ranges)


def _are_unlike(ranges: Iterable[Range]) -> bool:
    sizes = [size for one in ranges if (size := max(-one.low, one.high)) > 0]
    return bool(sizes) and max(sizes) >= UNLIKE * min(sizes)
