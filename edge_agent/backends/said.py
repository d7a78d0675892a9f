"""A library's error message in one line. Imports nothing heavy, because every measuring process imports it."""

import re

_SOURCE = re.compile(r"^/\S+?:\d+:? (?:\S.*?\w\(.*?\) (?=[A-Z]))?")
"""The prefix of a C++ program's message: file, line, and a function with its arguments."""
_MOST_OF_A_LINE = 240


def first_line(error: BaseException, prefix: re.Pattern[str] | None = None) -> str:
    """The first line of a library's error, cut, without ``prefix`` and its position in the library's source."""
    message = str(error).strip()
    lines = (prefix.sub("", message) if prefix else message).splitlines() or [type(error).__name__]
    text = _SOURCE.sub("", lines[0])
    return text if len(text) <= _MOST_OF_A_LINE else f"{text[:_MOST_OF_A_LINE]}..."
