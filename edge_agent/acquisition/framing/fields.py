"""Numbers out of JSON by name. Pure.

A document is an object, or an array of such objects for several samples at once. A field is a number, a number as a
string (``"21.5"``), or an array of numbers (then all fields are, and equally long). ``acc.x`` is the field of that
name, else the field ``x`` of the object ``acc``; ``acc.0`` is the first element of the array ``acc``. A field that is
absent or anything else than a number makes the document malformed; fields that nobody asked for do no harm.
"""

import re
from typing import Any

import msgspec

from edge_agent.acquisition.shown import listed, shown

_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
_decode = msgspec.json.Decoder().decode


class Malformed(ValueError):  # noqa: N818  # a document, not a fault of ours
    """A document that is no sample; the message says why."""


class Fields:
    """Which numbers, in which order."""

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def rows(self, document: bytes) -> list[list[float]]:
        """The samples in ``document``, at least one; raises :class:`Malformed`."""
        try:
            decoded = _decode(document)
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            reason = str(error).removeprefix("JSON is malformed: ")
            raise Malformed(f"it is no JSON ({reason}); check what the sender writes") from None
        objects = decoded if isinstance(decoded, list) else [decoded]
        rows = [row for found in objects for row in self._of_object(found)]
        if not rows:
            raise Malformed("it holds no sample; send an object, or an array of objects")
        return rows

    def why_malformed(self, document: bytes) -> str:
        """What is wrong with a document that holds no sample."""
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
            raise Malformed("its arrays are not equally long; send as many of each")
        return [
            [_number(value, name) for value, name in zip(row, self._names, strict=True)]
            for row in zip(*values, strict=True)
        ]


def _find(document: Any, name: str) -> Any:
    """The field ``name``: of that very name, else by its path. Raises :class:`Malformed`."""
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
            there = f"it has {listed(have)}; name channels so" if have else "it is no object with fields; send one"
            raise Malformed(f"there is no field {name!r}; {there}")
    return value


def _paths(document: Any) -> list[str]:
    """The fields of an object, nested ones by their paths."""
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
            raise Malformed(f"field {name!r} is a number that is too large; send one below 1e308") from None
    remedy = "name the path to one of these" if isinstance(value, dict) else "send a number, with a decimal point"
    if isinstance(value, str) and (found := _NUMBER.match(value)) and value[found.end() :][:1] not in ",.":
        remedy = "send the number alone, without its unit"
    raise Malformed(f"field {name!r} is {_told(value)}, no number; {remedy}")


def _told(value: Any) -> str:
    match value:
        case str():
            return shown(value)
        case dict():
            return f"an object of {listed(value)}"
        case list():
            return "an array"
    return {None: "null", True: "true", False: "false"}.get(value, "something else")
