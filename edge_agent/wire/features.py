"""What a manifest may say since version 0.1.0: such fields are left out of the bytes at their default.

A device refuses a key that it does not know, and one more key is other bytes, another digest and another job. So a
manifest that uses nothing new is encoded as it was then. A device lists the names of what it knows in its ``info``, and
a host asks for nothing else. Pure; the list itself is ``FEATURES`` of :mod:`edge_agent.wire.manifest`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Feature:
    """One thing that a manifest may say since version 0.1.0.

    Attributes:
        name: as ``info`` lists it.
        written: as an operator writes it, such as ``[gates] min_class_recall``.
        struct: what the field belongs to.
        field: the new field; left out of the bytes at its default.
        word: of an old field that has a new word: whether the value says it. Such a field is never left out.
    """

    name: str
    written: str
    struct: type[msgspec.Struct]
    field: str
    word: Callable[[Any], bool] | None = None

    @property
    def passed_over(self) -> bool:
        """Whether an agent that does not know it goes on without it, instead of refusing the manifest."""
        return self.word is None and not self.struct.__struct_config__.forbid_unknown_fields

    def used(self, value: Any) -> bool:
        """Whether a field of this ``value`` says it."""
        return self.word(value) if self.word is not None else bool(value != _default(self.struct, self.field))


def as_encoded(value: Any, features: Sequence[Feature]) -> Any:
    """What the library is to encode instead of ``value``: structs as dicts without new fields at their default.

    Only structs and lists of them are gone into, so that no manifest can nest deeper than its types.
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
    """The features that ``value`` needs of an agent, in the order of the list."""
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
    """Each field that has a value, with it."""
    for field in msgspec.structs.fields(value):
        inner = getattr(value, field.name)
        if inner is not msgspec.UNSET:
            yield field, inner


def _default(struct: type[msgspec.Struct], name: str) -> Any:
    field = next(field for field in msgspec.structs.fields(struct) if field.name == name)
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
