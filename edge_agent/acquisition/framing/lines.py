"""Splits a stream of bytes into whole lines. Pure.

Bytes before the first line's end are ignored, since a reader may open a port in the middle of a line. A line that never
ends is dropped, so that it cannot grow for ever.
"""

import re

from edge_agent.acquisition.shown import shown

_MAX_LINE = 4096
_SHOWN_BYTES = 64
_ESCAPES = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]")
"""Control sequences (ECMA-48) that set a terminal's colours or move its cursor."""


def bare(line: bytes) -> bytes:
    """Remove a terminal's colours from a line, and zero bytes of a booting board around it."""
    return _ESCAPES.sub(b"", line).strip(b"\0")


class Lines:
    """Splits bytes into complete lines.

    Attributes:
        overlong: number of lines dropped for their length.
        endless: the last of them, and its fault; empty if there is none.
    """

    def __init__(self) -> None:
        self._partial = b""
        self._synchronized = False
        self.overlong = 0
        self.endless = ""

    def restart(self) -> None:
        """Resynchronize after an interruption: drop all bytes until the end of the next line."""
        self._partial = b""
        self._synchronized = False

    def feed(self, data: bytes, end: bytes = b"\n") -> list[bytes]:
        """Return the lines that ended in ``data``, without ``end``."""
        block, found, rest = (self._partial + data).rpartition(end)
        self._partial = rest
        if not found:
            self._drop_endless_line()
            return []
        if not self._synchronized:
            self._synchronized = True
            _, found, block = block.partition(end)
            if not found:
                return []
        return block.split(end)

    def feed_text(self, data: bytes) -> list[bytes]:
        """Return the nonempty lines of text that ended in ``data``, with LF, CR LF or CR."""
        return [line for line in self.feed(data.replace(b"\r", b"\n")) if line]

    def _drop_endless_line(self) -> None:
        if len(self._partial) > _MAX_LINE:
            self.overlong += 1
            beginning = shown(self._partial[:_SHOWN_BYTES])
            self.endless = f"{beginning}: no end of line within {_MAX_LINE} bytes; check baud and framing"
            self.restart()
