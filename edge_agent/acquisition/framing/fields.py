"""Extracts numbers from JSON by name. Pure.

A document is an object, or an array of objects for several samples. A field is a number, a number as a string
(``"21.5"``), or an array of numbers (then all fields are arrays of the same length). ``acc.x`` is the field of that
name, else the field ``x`` of the object ``acc``; ``acc.0`` is the first element of the array ``acc``. A field that is
missing or is not a number makes the document malformed. Other fields are ignored.
"""

import re
from typing import Any

import msgspec

from edge_agent.acquisition.shown import listed, shown
from edge_agent.acquisition.units import is_quantity

_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_decode = msgspec.json.Decoder().decode


class Malformed(ValueError):  # noqa: N818  # about a document, not a bug
    """A document that is no sample; the message gives the reason."""


class Fields:
    """The fields of a sample, in order."""

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def rows(self, document: bytes) -> list[list[float]]:
        """Return the samples in ``document``, at least one; raise :class:`Malformed`."""
        try:
            decoded = _decode(document)
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            reason = str(error).removeprefix("JSON is malformed: ")
            raise Malformed(f"it is not JSON ({reason}); check what the sender writes") from None
        objects = decoded if isinstance(decoded, list) else [decoded]
        rows = [row for found in objects for row in self._of_object(found)]
        if not rows:
            raise Malformed("it contains no sample; send an object, or an array of objects")
        return rows

    def why_malformed(self, document: bytes) -> str:
        """Return the fault of a document that is no sample."""
        try:
            self.rows(document)
        except Malformed as error:
            return str(error)
        return ""

    def _of_object(self, found: Any) -> list[list[float]]:
        values = [_find(found, name) for name in self._names]
        if not all(isinstance(value, list) for value in values):
            return [[_number(value, name) for value, name in zip(values, self._names, strict=True)]]
        if len({len(value) for value in values}) > 1:
            raise Malformed("its arrays differ in length; send arrays of one length")
        return [
            [_number(value, name) for value, name in zip(row, self._names, strict=True)]
            for row in zip(*values, strict=True)
        ]


def _find(document: Any, name: str) -> Any:
    """Return the field of that exact ``name``, else by its path; raise :class:`Malformed`."""
    if isinstance(document, dict) and name in document:
        return document[name]
    value = document
    for part in name.split("."):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            have = _paths(document)
            there = (
                f"it has {listed(have)}; name channels like these" if have else "it is no object; send one with fields"
            )
            raise Malformed(f"there is no field {name!r}; {there}")
    return value


def _paths(document: Any) -> list[str]:
    """Return the fields of an object, nested ones as paths."""
    if not isinstance(document, dict):
        return []
    paths = []
    for name, value in document.items():
        paths += [f"{name}.{inner}" for inner in value] if isinstance(value, dict) else [name]
    return paths


def _number(value: Any, name: str) -> float:
    if type(value) in (int, float) or (isinstance(value, str) and _NUMBER.fullmatch(value)):  # a bool is an int, too
        try:
            return float(value)
        except OverflowError:
            raise Malformed(f"field {name!r} is too large a number; send one below 1e308") from None
    remedy = "name the path to one of these" if isinstance(value, dict) else "send a number, with a decimal point"
    if isinstance(value, str) and is_quantity(value):
        remedy = "send the number alone, without its unit"
    raise Malformed(f"field {name!r} is {_described(value)}, not a number; {remedy}")


def _described(value: Any) -> str:
    match value:
        case str():
            return shown(value)
        case dict():
            return f"an object of {listed(value)}"
        case list():
            return "an array"
    return {None: "null", True: "true", False: "false"}.get(value, "something else")
