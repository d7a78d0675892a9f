"""Writes values as TOML on one line."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec

_DELETE = "\x7f"
"""The only control character that JSON does not escape."""


def inline(value: Any) -> str:
    """``value`` in TOML; empty for None, which TOML lacks."""
    if value is None:
        return ""
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {inline(inner)}' for key, inner in value.items())} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(inline, value))}]"
    return json.dumps(value, ensure_ascii=False).replace(_DELETE, "\\u007f")
