"""JSON schemas of structs, with the docstrings under their fields as descriptions, which msgspec leaves out."""

import ast
import inspect
import textwrap
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import pairwise
from typing import Any

import msgspec
from msgspec.inspect import StructType, type_info

Schema = dict[str, Any]
Kind = type[msgspec.Struct]


def schemas(kinds: Iterable[Kind], ref_template: str = "#/$defs/{name}") -> dict[str, Schema]:
    """By name the schema of each of ``kinds``, and of every struct that they refer to."""
    kinds = list(kinds)
    _, found = msgspec.json.schema_components(kinds, ref_template=ref_template)
    for one in {struct for kind in kinds for struct in structs(kind)}:
        properties = found[one.__name__]["properties"]
        for field, text in docstrings(one).items():
            # A reference beside other keys is ignored by readers of older drafts.
            described = {"allOf": [properties[field]]} if "$ref" in properties[field] else properties[field]
            properties[field] = {"description": text, **described}
    return {name: cleaned(schema) for name, schema in found.items()}


def structs(kind: Kind) -> set[Kind]:
    """``kind`` and every struct in it."""
    found: set[Kind] = set()
    waiting: list[Any] = [type_info(kind)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, StructType) and node.cls not in found:
            found.add(node.cls)
            waiting += [field.type for field in node.fields]
        waiting += [
            inner for part in ("type", "item_type", "key_type", "value_type") if (inner := getattr(node, part, 0))
        ]
        waiting += [*getattr(node, "types", ()), *getattr(node, "item_types", ())]
    return found


@cache
def docstrings(kind: Kind) -> dict[str, str]:
    """field, as it is encoded → the docstring under it on one line; those of bases included."""
    encoded = {field.name: field.encode_name for field in msgspec.structs.fields(kind)}
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if issubclass(base, msgspec.Struct) and base is not msgspec.Struct:
            found |= {encoded[name]: text for name, text in _documented(base)}
    return found


def _documented(kind: type) -> Iterator[tuple[str, str]]:
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(definition, ast.ClassDef)
    for field, below in pairwise(definition.body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(text))):
                yield name, " ".join(text.split())


def cleaned(value: Any) -> Any:
    """``value`` with each docstring as Python 3.13 has it: without the indentation of its lines."""
    match value:
        case dict():
            return {
                key: inspect.cleandoc(inner) if key == "description" and isinstance(inner, str) else cleaned(inner)
                for key, inner in value.items()
            }
        case list():
            return [cleaned(inner) for inner in value]
    return value
