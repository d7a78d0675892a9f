"""What came, as a message can show it: printable, on one line, and cut. Pure."""

from collections.abc import Iterable
from itertools import islice

_CHARACTERS = 60
_NAMES = 8
_BYTES = 16


def shown(what: bytes | str) -> str:
    """``what`` in quotes; what cannot be printed is escaped, and what is long ends with three dots."""
    return f"'{_cut(what)}'"


def listed(names: Iterable[bytes | str]) -> str:
    """The first of ``names``, printable and cut as well, without quotes; where there are more, three dots follow."""
    several = iter(names)
    first = [_cut(name) for name in islice(several, _NAMES)]
    return ", ".join([*first, *["..."][: any(True for _ in several)]])


def _cut(what: bytes | str) -> str:
    text = what.decode("utf-8", "backslashreplace") if isinstance(what, bytes) else what
    text = text.strip("\r\n")
    cut = text[:_CHARACTERS]
    printable = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in cut)
    if len(printable) > 2 * _CHARACTERS:  # escapes are longer than what they stand for
        printable, cut = printable[: 2 * _CHARACTERS], ""
    return f"{printable}{'...' if cut != text else ''}"


def shown_bytes(data: bytes) -> str:
    """``data`` in hexadecimal; what is long ends with three dots."""
    return data[:_BYTES].hex(" ") + " ..." * (len(data) > _BYTES)
