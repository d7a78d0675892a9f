"""What a library says of a fault, for a message: its first line, printable, cut, and without where in its source."""

import re

_MOST = 240
_WHERE = re.compile(r"^/\S+?:\d+:? (?:\S.*?\w\(.*?\) (?=[A-Z]))?")
"""A file, its line, and a function with its arguments, as C++ programs put them before what they have to say."""


def first_line(error: BaseException, prefix: re.Pattern[str] | None = None) -> str:
    """What ``error`` says, short enough for a report; its type if it says nothing. ``prefix`` is left out."""
    said = str(error).strip()
    lines = (prefix.sub("", said) if prefix else said).splitlines() or [type(error).__name__]
    text = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in _WHERE.sub("", lines[0]))
    return text if len(text) <= _MOST else f"{text[:_MOST]}..."
