"""Strings that somebody else wrote, as a terminal or a log may have them. Pure.

A model's node names, what a device says of itself, and what a library makes of either may hold control characters
(ESC moves the cursor, a line feed forges a line, U+202E turns a line round) and may have megabytes.
"""

from typing import Any

MOST = 4000
"""Characters: twice the longest sentence of a report."""
_INSTEAD = "\N{REPLACEMENT CHARACTER}"


def printable(text: str, most: int = MOST) -> str:
    """``text`` in one line without control characters, and cut where it is longer than ``most`` characters."""
    if len(text) > most:
        text = text[: most - 1] + "…"
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else " " if one.isspace() else _INSTEAD for one in text)


def printable_lines(text: str) -> str:
    """``text`` whose lines we broke ourselves: every one of them printable."""
    return "\n".join(printable(line) for line in text.split("\n"))


def printable_values(value: Any) -> Any:
    """Plain values as JSON has them, with every string in them printable, keys included."""
    match value:
        case str():
            return printable(value)
        case list():
            return [printable_values(one) for one in value]
        case dict():
            return {printable_values(key): printable_values(one) for key, one in value.items()}
    return value
