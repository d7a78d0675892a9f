"""What an error of a library says, in one line. Imports nothing: every process that measures does."""

import re

_SOURCE = re.compile(r"^/\S+?:\d+:? (?:\S.*?\w\(.*?\) (?=[A-Z]))?")
"""A file, its line, and a function with its arguments, as C++ programs put them before what they have to say."""
_MOST_OF_A_LINE = 240


def first_line(error: BaseException, prefix: re.Pattern[str] | None = None) -> str:
    """What an error of a library says: its first line, cut, without ``prefix`` and where in its source that is."""
    said = str(error).strip()
    lines = (prefix.sub("", said) if prefix else said).splitlines() or [type(error).__name__]
    text = _SOURCE.sub("", lines[0])
    return text if len(text) <= _MOST_OF_A_LINE else f"{text[:_MOST_OF_A_LINE]}..."
