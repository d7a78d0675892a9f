"""What came, as a message can show it: printable, on one line, and cut. Pure."""

_CHARACTERS = 60
_BYTES = 16


def shown(what: bytes | str) -> str:
    """``what`` in quotes; what cannot be printed is escaped, and what is long ends with three dots."""
    text = what.decode("utf-8", "backslashreplace") if isinstance(what, bytes) else what
    text = text.strip("\r\n")
    cut = text[:_CHARACTERS]
    printable = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in cut)
    if len(printable) > 2 * _CHARACTERS:  # escapes are longer than what they stand for
        printable, cut = printable[: 2 * _CHARACTERS], ""
    return f"'{printable}{'...' if cut != text else ''}'"


def shown_bytes(data: bytes) -> str:
    """``data`` in hexadecimal; what is long ends with three dots."""
    return data[:_BYTES].hex(" ") + " ..." * (len(data) > _BYTES)
