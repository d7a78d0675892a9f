"""A stream of bytes in pieces becomes whole lines. Pure.

What comes before the first line's end is not looked at: a reader that opens a port mid-line starts there. A line that
never ends is given up, so that it cannot grow for ever.
"""

_MAX_LINE = 4096


class Lines:
    """Feed it bytes; it gives the lines that ended. ``overlong`` counts those that were given up."""

    def __init__(self) -> None:
        self._partial = b""
        self._synchronized = False
        self.overlong = 0

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

    def _drop_endless_line(self) -> None:
        if len(self._partial) > _MAX_LINE:
            self.overlong += self._synchronized
            self.restart()
