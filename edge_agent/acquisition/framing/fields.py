"""Numbers out of JSON by name. Pure.

A document is an object, or an array of such objects for several samples at once. A field is a number, or an array of
them (then all fields are, and equally long). ``acc.x`` is the field ``x`` of the object ``acc``. A field that is absent
or anything else than a number makes the document malformed; fields that nobody asked for do no harm.
"""

from typing import Any

import msgspec

_MALFORMED = (msgspec.DecodeError, RecursionError, KeyError, TypeError, ValueError, OverflowError)
_decode = msgspec.json.Decoder().decode


class Fields:
    """Which numbers, in which order."""

    def __init__(self, names: list[str]) -> None:
        self._paths = [tuple(name.split(".")) for name in names]

    def rows(self, document: bytes) -> list[list[float]] | None:
        """The samples in ``document``, at least one; None if it is malformed."""
        try:
            decoded = _decode(document)
            objects = decoded if isinstance(decoded, list) else [decoded]
            rows = [row for found in objects for row in self._of_object(found)]
        except _MALFORMED:
            return None
        return rows or None

    def _of_object(self, found: Any) -> list[list[float]]:
        values = []
        for path in self._paths:
            value = found
            for part in path:
                value = value[part]
            values.append(value)
        if all(isinstance(value, list) for value in values):
            return [_numbers(row) for row in zip(*values, strict=True)]
        return [_numbers(values)]


def _numbers(values: Any) -> list[float]:
    if not all(type(value) in (int, float) for value in values):  # a bool is an int to isinstance
        raise TypeError("no number")
    return [float(value) for value in values]
