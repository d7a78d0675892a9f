"""Unique names of tensors and nodes.

The runtime rejects a file in which two nodes share a name. onnxruntime's quantizer derives names like ``x_scale`` from
a tensor ``x``, even if the model already has such a tensor.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_MADE = re.compile("_(?:scale|zero_point|quantized|QuantizeLinear|DequantizeLinear)")
"""Suffixes that the quantizer appends to a tensor's name; more may follow."""


def name_nodes(nodes: Iterable[Any]) -> None:
    """Give each node a unique name: unique names stay, duplicates get a number appended.

    A node without a name is named after its operator and its first output.
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
    """Rename the tensors of ``model`` with a name that the quantizer may derive from another tensor.

    Returns:
        Old name → new name; :func:`restore` undoes it for a model's inputs and outputs.
    """
    names = set(tensor_names(model.graph))
    meeting = {name for name in names if any(name[: found.start()] in names for found in _MADE.finditer(name))}
    apart = {name: free(f"own/{name}", names) for name in sorted(meeting)}
    rename(model.graph, apart)
    return apart


def restore(model: Any, apart: Mapping[str, str]) -> None:
    """Give inputs and outputs their original names again; tensors that now have these names are renamed."""
    ends = {value.name for value in (*model.graph.input, *model.graph.output)}
    back = {new: old for old, new in apart.items() if new in ends}
    if back:
        names = set(tensor_names(model.graph))
        rename(model.graph, back | {old: free(f"made/{old}", names) for old in back.values() if old in names})


def rename(graph: Any, renamed: Mapping[str, str]) -> None:
    """Rename tensors (old name → new name) in ``graph`` and its inner graphs."""
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
    """The names of all tensors of a graph and its inner graphs."""
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
    """Return ``name``, or a variant that is not in ``taken``, and add it to ``taken``."""
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    taken.add(candidate)
    return candidate
