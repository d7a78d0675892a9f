"""The tail of a graph: the nodes from which no further layer with weights is reached. Pure.

In a detector these decode boxes, in a classifier they are the softmax. They do next to no work, and what they give lies
on one grid where they put boxes in pixels beside scores from 0 to 1: int8 is cheap to leave out there and expensive to
have.

A layer with next to no weights does not end the tail: the convolution that sums up a box's distribution (Li et al.
2020, "Generalized Focal Loss") has sixteen, all of them decoding.
"""

from collections.abc import Sequence
from typing import NamedTuple

_NEXT_TO_NONE = 1e-4
"""The part of all of a model's weights below which a layer only decodes."""


class Node(NamedTuple):
    """One node of a graph: the tensors that it reads and gives, and how many weights it has."""

    inputs: Sequence[str]
    outputs: Sequence[str]
    weights: float = 0
    """Infinite where they cannot be counted, as of a loop with layers in it."""


def in_tail(nodes: Sequence[Node]) -> list[bool]:
    """For each node, given in an order in which they can run, whether it is of the tail; none is without weights."""
    every = [node.weights for node in nodes if node.weights < float("inf")]
    least = sum(every) * _NEXT_TO_NONE
    if not any(node.weights for node in nodes):
        return [False] * len(nodes)
    before: set[str] = set()
    found = []
    for node in reversed(nodes):
        ends = node.weights > least or not before.isdisjoint(node.outputs)
        if ends:
            before.update(node.inputs)
        found.append(not ends)
    return found[::-1]
