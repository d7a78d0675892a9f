"""Makes strings of outsiders safe for a terminal or a log. Pure.

A model's node names, the texts of a device, and library messages that quote them may contain control characters (ESC
moves the cursor, a line feed forges a line, U+202E reverses a line) and may have megabytes.
"""

from typing import Any

MOST = 4000
"""Characters: twice the longest sentence of a report."""
_INSTEAD = "\N{REPLACEMENT CHARACTER}"


def printable(text: str, most: int = MOST) -> str:
    """Return ``text`` as one line without control characters, of at most ``most`` characters."""
    if len(text) > most:
        text = text[: most - 1] + "…"
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else " " if one.isspace() else _INSTEAD for one in text)


def printable_lines(text: str) -> str:
    """Return ``text`` with each of its lines made printable; the line breaks must be our own."""
    return "\n".join(printable(line) for line in text.split("\n"))


def printable_values(value: Any) -> Any:
    """Return a JSON value with every string in it made printable, keys included."""
    match value:
        case str():
            return printable(value)
        case list():
            return [printable_values(one) for one in value]
        case dict():
            return {printable_values(key): printable_values(one) for key, one in value.items()}
    return value
