"""Manifest fields that are newer than version 0.1.0: the encoder leaves them out at their default.

A device refuses an unknown key, and an extra key changes the bytes, hence the digest and the job. So a manifest that
uses no new field is encoded exactly as version 0.1.0 did. A device lists the features that it knows in its ``info``,
and a host uses no others. Pure; the list itself is ``FEATURES`` of :mod:`edge_agent.wire.manifest`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Feature:
    """A manifest field, or a new value of an old field, that is newer than version 0.1.0.

    Attributes:
        name: the feature's name in ``info``.
        written: the spelling in an operator's file, such as ``[gates] min_class_recall``.
        struct: the struct that has the field.
        field: the new field; it is not encoded at its default.
        word: for a new value of an old field: whether a value is the new one. Such a field is always encoded.
    """

    name: str
    written: str
    struct: type[msgspec.Struct]
    field: str
    word: Callable[[Any], bool] | None = None

    @property
    def passed_over(self) -> bool:
        """Whether an agent that does not know the field ignores it instead of refusing the manifest."""
        return self.word is None and not self.struct.__struct_config__.forbid_unknown_fields

    def used(self, value: Any) -> bool:
        """Whether a field with this ``value`` uses the feature."""
        return self.word(value) if self.word is not None else bool(value != _default(self.struct, self.field))


def as_encoded(value: Any, features: Sequence[Feature]) -> Any:
    """Return the object to encode for ``value``: structs become dicts without new fields at their default.

    The recursion enters only structs and lists of structs, so no manifest can nest deeper than its types.
    """
    match value:
        case msgspec.Struct():
            new = {feature.field: feature for feature in _of(value, features) if feature.word is None}
            return {
                field.encode_name: as_encoded(inner, features)
                for field, inner in _fields(value)
                if field.name not in new or new[field.name].used(inner)
            }
        case [msgspec.Struct(), *_]:
            return [as_encoded(inner, features) for inner in value]
    return value


def features_used(value: Any, features: Sequence[Feature]) -> list[Feature]:
    """Return the features that an agent needs for ``value``, in the order of the list."""
    found = set(_found(value, features))
    return [feature for feature in features if feature in found]


def _found(value: Any, features: Sequence[Feature]) -> Iterator[Feature]:
    match value:
        case msgspec.Struct():
            for field, inner in _fields(value):
                yield from (one for one in _of(value, features) if one.field == field.name and one.used(inner))
                yield from _found(inner, features)
        case [msgspec.Struct(), *_]:
            for inner in value:
                yield from _found(inner, features)


def _of(value: msgspec.Struct, features: Sequence[Feature]) -> Iterator[Feature]:
    return (feature for feature in features if isinstance(value, feature.struct))


def _fields(value: msgspec.Struct) -> Iterator[tuple[msgspec.structs.FieldInfo, Any]]:
    """Yield each field that is set, with its value."""
    for field in msgspec.structs.fields(value):
        inner = getattr(value, field.name)
        if inner is not msgspec.UNSET:
            yield field, inner


def _default(struct: type[msgspec.Struct], name: str) -> Any:
    field = next(field for field in msgspec.structs.fields(struct) if field.name == name)
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
