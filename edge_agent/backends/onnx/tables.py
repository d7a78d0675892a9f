"""Rows of an integer table read as floats: only the rows looked up are unpacked."""

from collections.abc import Callable
from typing import Any, NamedTuple

from onnx import TensorProto, helper


class IntegerTable(NamedTuple):
    """A table [rows, columns] of integers, given by the names of its constants."""

    integers: str
    scale: str
    """One in total, one per column as [columns], or one per row as [rows, 1]."""
    by_row: bool = True
    """Whether there is one scale per row."""
    zero: str = ""
    """The float zero point to subtract first; empty: none."""


def read_rows(node: Any, table: IntegerTable, fresh: Callable[[str], str]) -> list[Any]:
    """The nodes that replace the Gather ``node``; ``fresh`` makes their names unique."""
    output, indices = node.output[0], node.input[1]
    rows, cast = fresh(f"{output}_int8"), fresh(f"{output}_cast")
    nodes = [
        helper.make_node("Gather", [table.integers, indices], [rows], node.name),
        helper.make_node("Cast", [rows], [cast], cast, to=TensorProto.FLOAT),
    ]
    if table.zero:
        centred = fresh(f"{output}_centred")
        nodes.append(helper.make_node("Sub", [cast, table.zero], [centred], centred))
        cast = centred
    scale = table.scale
    if table.by_row:
        scale = fresh(f"{output}_scale")
        nodes.append(helper.make_node("Gather", [table.scale, indices], [scale], scale))
    return [*nodes, helper.make_node("Mul", [cast, scale], [output], f"{node.name}_scaled")]
