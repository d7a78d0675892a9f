"""Lines of comma-separated decimals, as they come off a wire in arbitrary pieces, become samples. Pure.

One line is one sample: as many decimals as there are channels, in their order; LF or CRLF; blanks around a number do no
harm, ``nan`` and ``inf`` are numbers (quality will speak of them). A line that is anything else is counted and
dropped. What comes before the first line's end is not looked at: a reader that opens a port mid-line starts there.

Lines are decoded a block at a time; only a block with a malformed line in it is looked at line by line.
"""

from itertools import chain

import numpy as np
from numpy.typing import NDArray

_ALLOWED = b"0123456789+-.,eE \t\r\n" + b"nNaAiIfFtTyY"
"""What decimals, ``nan``, ``inf`` and ``infinity`` are written with; ``float`` alone would accept ``1_0``."""
_MAX_LINE = 4096


class CsvDecoder:
    """Feed it bytes; it gives samples. ``malformed`` counts the lines that were dropped."""

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._partial = b""
        self._synchronized = False
        self.malformed = 0

    def restart(self) -> None:
        """The stream was interrupted: drop what is left of a line, and what comes until the next line's end."""
        self._partial = b""
        self._synchronized = False

    def feed(self, data: bytes) -> NDArray[np.float32]:
        """The samples ``[n, columns]`` of all lines that end in ``data``; n may be 0."""
        block, end, rest = (self._partial + data).rpartition(b"\n")
        if not end:
            self._partial = rest
            self._drop_endless_line()
            return np.empty((0, self._columns), np.float32)
        self._partial = rest
        if not self._synchronized:
            self._synchronized = True
            _, end, block = block.partition(b"\n")
            if not end:
                return np.empty((0, self._columns), np.float32)
        return self._decode(block.split(b"\n"))

    def _decode(self, lines: list[bytes]) -> NDArray[np.float32]:
        values = self._numbers(lines)
        if values is None:
            decoded = [numbers for line in lines if (numbers := self._numbers([line])) is not None]
            self.malformed += len(lines) - len(decoded)
            values = list(chain.from_iterable(decoded))
        with np.errstate(over="ignore"):  # a number beyond float32 becomes Inf, which is refused by name later
            return np.array(values, np.float64).reshape(-1, self._columns).astype(np.float32)

    def _numbers(self, lines: list[bytes]) -> list[float] | None:
        """All numbers of ``lines``, or None if one of them is malformed."""
        rows = [line.split(b",") for line in lines]
        if any(len(row) != self._columns for row in rows) or any(line.translate(None, _ALLOWED) for line in lines):
            return None
        try:
            return [float(field) for row in rows for field in row]
        except ValueError:
            return None

    def _drop_endless_line(self) -> None:
        if len(self._partial) > _MAX_LINE:
            self.malformed += self._synchronized
            self.restart()
