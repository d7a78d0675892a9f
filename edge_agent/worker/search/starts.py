"""Groups of layers that are known to lose accuracy as int8, found in a graph. They are left float before single layers.

Single layers come from a simulation that assumes small and additive errors. If one kind of layer ruins the output,
neither assumption holds, and a tensor is rounded as long as one layer next to it is int8. The group is therefore tried
as a whole.

* *ends*: the first and the last layer with weights. The first sees the sensor's own scale, the last gives the answer
  (Krishnamoorthi 2018, "Quantizing deep convolutional networks for efficient inference", section 4).
* *gates*: a squeeze and excitation (Hu et al. 2018): a product of a tensor and the result of layers with weights on the
  same tensor. A rounded gate scales a whole channel.
* *sums*: additions of two activations and the scales and shifts between them, as in residual streams and
  normalisations. A stream of repeated additions has outliers that stretch one grid for all values (Bondarenko et al.
  2021, "Understanding and overcoming the challenges of efficient transformer quantization").
"""

from collections.abc import Collection, Mapping, Sequence

from edge_agent.backends import Flow, Layer, Node

_SUMS = frozenset({"add", "sub", "mul", "sum", "layernormalization"})
_PRODUCTS = frozenset({"mul"})
_MOST = 0.5
"""The largest part of all layers in a group; with more float layers, the result is hardly an int8 model."""
_FARTHEST = 12
"""The largest number of nodes between a tensor and the product with its gate."""


def known_starts(flow: Flow, layers: Sequence[Layer], weighted: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Group → its layers, in graph order, without empty groups and without groups of more than half of the model.

    Args:
        flow: the graph.
        layers: the quantizable nodes, in graph order.
        weighted: the names of the layers with weights, in graph order.
    """
    ends = {weighted[0], weighted[-1]} if weighted else set()
    operators = {layer.name: layer.operator.lower() for layer in layers}
    found = {"ends": ends, "gates": _gates(flow.nodes, operators), "sums": _sums(flow.nodes, operators)}
    return {
        name: tuple(layer.name for layer in layers if layer.name in group)
        for name, group in found.items()
        if 0 < len(group) <= _MOST * len(layers)
    }


def _sums(nodes: Sequence[Node], operators: Mapping[str, str]) -> set[str]:
    """The elementwise layers, if the graph adds activations to each other; empty otherwise."""
    made = {name for node in nodes for name in node.outputs}
    adds = [node for node in nodes if operators.get(node.name) in ("add", "sum")]
    if not any(sum(name in made for name in node.inputs) > 1 for node in adds):
        return set()
    return {name for name, operator in operators.items() if operator in _SUMS}


def _gates(nodes: Sequence[Node], operators: Mapping[str, str]) -> set[str]:
    """The layers of all gates, with the products that they scale."""
    maker = {name: node for node in nodes for name in node.outputs}
    found: set[str] = set()
    for product in nodes:
        if operators.get(product.name) not in _PRODUCTS:
            continue
        for gate, scaled in (product.inputs[:2], product.inputs[1::-1]) if len(product.inputs) > 1 else ():
            path = _path(gate, scaled, maker)
            if any(node.weights for node in path):
                found |= {node.name for node in path} | {product.name}
    return found & operators.keys()


def _path(end: str, begin: str, maker: Mapping[str, Node]) -> Collection[Node]:
    """The nodes that compute ``end`` from ``begin`` and no other activation; empty if there is no such path."""
    path: dict[str, Node] = {}
    wanted = [end]
    while wanted:
        name = wanted.pop()
        node = maker.get(name)
        if name == begin or node is None or node.name in path:  # no maker: a constant or an input
            continue
        path[node.name] = node
        if len(path) > _FARTHEST:
            return ()
        wanted += node.inputs
    return path.values() if any(begin in node.inputs for node in path.values()) else ()
