"""JSON of somebody else: how much of it becomes objects, and how long a text may be. Pure.

A megabyte of ``{},{},{}`` would become hundreds of megabytes of objects, so values are counted before they are made.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

MOST_VALUES = 50_000
"""In a document; the largest result object of ours has some thousands."""
MOST_TEXT = 2000
"""Characters of a text."""
MOST_ITEMS = 4096
"""Of a list or an object."""
_BEFORE_A_VALUE = (b",", b"[", b"{")

K = TypeVar("K")


def decode(data: bytes, kind: type[K]) -> K:
    """The document in ``data`` as a ``kind``.

    Raises:
        msgspec.DecodeError: it is none, or holds more than ``MOST_VALUES`` values.
        UnicodeDecodeError, RecursionError: it is none.
    """
    if values_in(data) > MOST_VALUES:
        raise msgspec.ValidationError(f"it holds more than {MOST_VALUES} values")
    return msgspec.json.decode(data, type=kind)


def values_in(data: bytes) -> int:
    """At least how many values a JSON document holds; what stands in its texts counts, too."""
    return sum(data.count(mark) for mark in _BEFORE_A_VALUE)


def cut_text(text: str, most: int = MOST_TEXT) -> str:
    """``text``, or its first characters and an ellipsis, ``most`` together."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def cut(value: Any, *, most_text: int = MOST_TEXT, most_items: int = MOST_ITEMS) -> Any:
    """``value``, as JSON has it, with each text cut, and each list and object as its first items."""
    match value:
        case str():
            return cut_text(value, most_text)
        case list():
            return [cut(item, most_text=most_text, most_items=most_items) for item in value[:most_items]]
        case Mapping():
            first = list(value.items())[:most_items]
            return {
                cut_text(str(key), most_text): cut(item, most_text=most_text, most_items=most_items)
                for key, item in first
            }
    return value
