"""Reads objects of another version or device: valid fields are taken, others get their default. Pure.

A report is worth more than any single field. Unknown fields are ignored, and a field of an unexpected type is null, as
if it had not been measured.
"""

from collections.abc import Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

S = TypeVar("S", bound=msgspec.Struct)

_types_of = cache(get_type_hints)
"""Cached because it is slow and needed for each item of a list."""


def lenient(fields: object, kind: type[S]) -> S:
    """Convert JSON ``fields`` to a struct of ``kind``; all fields of ``kind`` need a default."""
    found = _fitting(fields, kind)
    return found if isinstance(found, kind) else kind()


def _fitting(value: object, kind: Any) -> Any:
    """``value`` as a ``kind``, as far as it fits; ``UNSET`` if no part fits."""
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, RecursionError):
        pass
    for one in get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,):
        found = msgspec.UNSET if one is NoneType else _in_parts(value, one)
        if found is not msgspec.UNSET:
            return found
    return msgspec.UNSET


def _in_parts(value: object, kind: Any) -> Any:
    arguments = get_args(kind)
    match get_origin(kind) or kind, value:
        case container, list() if container is list:
            parts = (_fitting(part, arguments[0]) for part in value)
            return [part for part in parts if part is not msgspec.UNSET]
        case container, Mapping() if container is dict:
            named = {str(key): _fitting(part, arguments[1]) for key, part in value.items()}
            return {key: part for key, part in named.items() if part is not msgspec.UNSET}
        case struct, Mapping() if isinstance(struct, type) and issubclass(struct, msgspec.Struct):
            return _struct(value, struct)
    return msgspec.UNSET


def _struct(fields: Mapping[Any, Any], kind: type[S]) -> Any:
    """The struct of all fitting fields; ``UNSET`` if a required field that may not be null is missing."""
    types = _types_of(kind)
    taken: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        wanted = types[field.name]
        value = _fitting(fields.get(field.encode_name, msgspec.UNSET), wanted)
        if value is not msgspec.UNSET:
            taken[field.name] = value
        elif field.required and NoneType in get_args(wanted):
            taken[field.name] = None
    try:
        return kind(**taken)
    except TypeError:
        return msgspec.UNSET
