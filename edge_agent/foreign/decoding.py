"""Decodes JSON of an outsider, with limits on the number of values and the length of texts. Pure.

A megabyte of ``{},{},{}`` would become hundreds of megabytes of objects, so values are counted before decoding.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

MOST_VALUES = 50_000
"""Values in a document; our largest result object has a few thousand."""
MOST_TEXT = 2000
"""Characters in a text."""
MOST_ITEMS = 4096
"""Items in a list or an object."""
_BEFORE_A_VALUE = (b",", b"[", b"{")

K = TypeVar("K")


def decode(data: bytes, kind: type[K]) -> K:
    """Decode the document in ``data`` as a ``kind``.

    Raises:
        msgspec.DecodeError: it is no such document, or has more than ``MOST_VALUES`` values.
        UnicodeDecodeError, RecursionError: it is no such document.
    """
    if values_in(data) > MOST_VALUES:
        raise msgspec.ValidationError(f"it holds more than {MOST_VALUES} values")
    return msgspec.json.decode(data, type=kind)


def values_in(data: bytes) -> int:
    """Return an upper bound of the number of values in a JSON document; commas in texts count, too."""
    return sum(data.count(mark) for mark in _BEFORE_A_VALUE)


def cut_text(text: str, most: int = MOST_TEXT) -> str:
    """Return ``text``, shortened to ``most`` characters including an ellipsis if it is longer."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def cut(value: Any, *, most_text: int = MOST_TEXT, most_items: int = MOST_ITEMS) -> Any:
    """Return the JSON ``value`` with each text shortened, and only the first items of each list and object."""
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
