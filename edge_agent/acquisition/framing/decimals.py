"""Lines of comma-separated decimals become samples. Pure.

One line is one sample: as many decimals as there are columns, in their order; LF or CRLF; blanks around a number do no
harm, ``nan`` and ``inf`` are numbers (quality will speak of them). A line that is anything else is counted and dropped.

Lines are decoded a block at a time; only a block with a malformed line in it is looked at line by line.
"""

from itertools import chain

import numpy as np

from edge_agent.acquisition.framing import Numbers
from edge_agent.acquisition.framing.lines import Lines

_ALLOWED = b"0123456789+-.,eE \t\r\n" + b"nNaAiIfFtTyY"
"""What decimals, ``nan``, ``inf`` and ``infinity`` are written with; ``float`` alone would accept ``1_0``."""


class CsvDecoder:
    """Feed it bytes; it gives rows. ``malformed`` counts the lines that were dropped."""

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._lines = Lines()
        self._malformed = 0
        self.wrong = f"lines were not {columns} decimals"

    @property
    def malformed(self) -> int:
        """Lines that were dropped."""
        return self._malformed + self._lines.overlong

    def restart(self) -> None:
        """The stream was interrupted: drop what is left of a line, and what comes until the next line's end."""
        self._lines.restart()

    def feed(self, data: bytes) -> Numbers:
        """The rows ``[n, columns]`` of all lines that end in ``data``; n may be 0."""
        lines = self._lines.feed(data)
        if not lines:
            return np.empty((0, self._columns))
        values = self._numbers(lines)
        if values is None:
            decoded = [numbers for line in lines if (numbers := self._numbers([line])) is not None]
            self._malformed += len(lines) - len(decoded)
            values = list(chain.from_iterable(decoded))
        return np.array(values, np.float64).reshape(-1, self._columns)

    def _numbers(self, lines: list[bytes]) -> list[float] | None:
        """All numbers of ``lines``, or None if one of them is malformed."""
        rows = [line.split(b",") for line in lines]
        if any(len(row) != self._columns for row in rows) or any(line.translate(None, _ALLOWED) for line in lines):
            return None
        try:
            return [float(field) for row in rows for field in row]
        except ValueError:
            return None
