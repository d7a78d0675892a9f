"""Formats received data for messages: printable, on one line, and shortened. Pure."""

from collections.abc import Iterable
from itertools import islice

_CHARACTERS = 60
_NAMES = 8
_BYTES = 16


def shown(what: bytes | str) -> str:
    """Return ``what`` in quotes, with unprintable characters escaped; three dots end a long text."""
    return f"'{_cut(what)}'"


def listed(names: Iterable[bytes | str]) -> str:
    """Return the first of ``names``, printable and shortened, without quotes; three dots mark further ones."""
    several = iter(names)
    first = [_cut(name) for name in islice(several, _NAMES)]
    return ", ".join([*first, *["..."][: any(True for _ in several)]])


def _cut(what: bytes | str) -> str:
    text = what.decode("utf-8", "backslashreplace") if isinstance(what, bytes) else what
    text = text.strip("\r\n")
    cut = text[:_CHARACTERS]
    printable = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in cut)
    if len(printable) > 2 * _CHARACTERS:  # escapes are longer than the characters
        printable, cut = printable[: 2 * _CHARACTERS], ""
    return f"{printable}{'...' if cut != text else ''}"


def shown_bytes(data: bytes) -> str:
    """Return ``data`` in hexadecimal; three dots end long data."""
    return data[:_BYTES].hex(" ") + " ..." * (len(data) > _BYTES)
