"""Names of tensors and nodes that do not meet.

The runtime refuses a file in which two nodes have one name, and onnxruntime's quantizer calls what it makes of a
tensor ``x`` by names like ``x_scale``, whether there is such a tensor or not.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_MADE = re.compile("_(?:scale|zero_point|quantized|QuantizeLinear|DequantizeLinear)")
"""What the quantizer puts behind a tensor's name; more may follow."""


def name_nodes(nodes: Iterable[Any]) -> None:
    """Give each node a name of its own: names that are there and unique stay, the others get a number behind them.

    A node without a name is called after its operator and its first output.
    """
    taken: set[str] = set()
    for node in nodes:
        name = node.name or f"{node.op_type}_{node.output[0]}"
        base, number = name, 1
        while name in taken:
            number += 1
            name = f"{base}_{number}"
        taken.add(name)
        node.name = name


def set_apart(model: Any) -> dict[str, str]:
    """Rename the tensors of ``model`` whose name the quantizer may give to what it makes of another one.

    Returns:
        Old name → new name; :func:`restore` gives a model's inputs and outputs theirs again.
    """
    names = set(tensor_names(model.graph))
    meeting = {name for name in names if any(name[: found.start()] in names for found in _MADE.finditer(name))}
    apart = {name: free(f"own/{name}", names) for name in sorted(meeting)}
    rename(model.graph, apart)
    return apart


def restore(model: Any, apart: Mapping[str, str]) -> None:
    """Give inputs and outputs the names back that :func:`set_apart` took, from whatever else is called so now."""
    ends = {value.name for value in (*model.graph.input, *model.graph.output)}
    back = {new: old for old, new in apart.items() if new in ends}
    if back:
        names = set(tensor_names(model.graph))
        rename(model.graph, back | {old: free(f"made/{old}", names) for old in back.values() if old in names})


def rename(graph: Any, renamed: Mapping[str, str]) -> None:
    """Call tensors otherwise (old name → new name), in the graphs inside ``graph``, too."""
    if not renamed:
        return
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = renamed.get(value.name, value.name)
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [renamed.get(name, name) for name in names]
        for inner in _inside(node):
            rename(inner, renamed)


def tensor_names(graph: Any) -> Iterator[str]:
    """The names of all tensors of a graph, those in the graphs inside it, too."""
    for value in (*graph.input, *graph.output, *graph.initializer):
        yield value.name
    for node in graph.node:
        yield from (*node.input, *node.output)
        for inner in _inside(node):
            yield from tensor_names(inner)


def _inside(node: Any) -> Iterator[Any]:
    for entry in node.attribute:
        yield from (entry.g, *entry.graphs)


def free(name: str, taken: set[str]) -> str:
    """``name``, or one made from it that is not among ``taken``; from now on it is."""
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    taken.add(candidate)
    return candidate
