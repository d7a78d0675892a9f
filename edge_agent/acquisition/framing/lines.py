"""A stream of bytes in pieces becomes whole lines. Pure.

What comes before the first line's end is not looked at: a reader that opens a port mid-line starts there. A line that
never ends is given up, so that it cannot grow for ever.
"""

import re

from edge_agent.acquisition.shown import shown

_MAX_LINE = 4096
_SHOWN_BYTES = 64
_ESCAPES = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]")
"""What colours a terminal and moves its cursor (ECMA-48, control sequences)."""


def bare(line: bytes) -> bytes:
    """A line without a terminal's colours in it and the zero bytes that a board sends around it when it boots."""
    return _ESCAPES.sub(b"", line).strip(b"\0")


class Lines:
    """Feed it bytes; it gives the lines that ended.

    Attributes:
        overlong: lines that were given up.
        endless: the last of them, and what is wrong with it; empty if there is none.
    """

    def __init__(self) -> None:
        self._partial = b""
        self._synchronized = False
        self.overlong = 0
        self.endless = ""

    def restart(self) -> None:
        """The stream was interrupted: drop what is left of a line, and what comes until the next line's end."""
        self._partial = b""
        self._synchronized = False

    def feed(self, data: bytes, end: bytes = b"\n") -> list[bytes]:
        """The lines that ended in ``data``, without ``end``."""
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
        """The lines of text that ended in ``data``, with LF, CR LF or CR behind them; not those that are empty."""
        return [line for line in self.feed(data.replace(b"\r", b"\n")) if line]

    def _drop_endless_line(self) -> None:
        if len(self._partial) > _MAX_LINE:
            self.overlong += 1
            beginning = shown(self._partial[:_SHOWN_BYTES])
            self.endless = f"{beginning}: no line ends within {_MAX_LINE} bytes; check baud and framing"
            self.restart()
