"""Decodes lines of decimals. Pure.

One line is one sample: one decimal per column, in the order of the columns. Lines end with LF, CR LF or CR. Blanks
around a number, empty lines and a terminal's colours are ignored. ``nan`` and ``inf`` are numbers (the quality check
reports them). The first line that is a sample determines the dialect: the separators, and labels before the numbers
(:mod:`.dialects`). Labelled numbers may also be sent one per line (:mod:`.one_a_line`). Every other line, such as the
output of a booting firmware, is counted and dropped. After many such lines in a row, the dialect is detected again.

Lines are decoded in blocks; only a block with a malformed line is decoded line by line.
"""

from collections.abc import Sequence

import numpy as np

from edge_agent.acquisition.framing import Numbers
from edge_agent.acquisition.framing.dialects import Dialect, decimals, dialects, why_malformed
from edge_agent.acquisition.framing.lines import Lines, bare
from edge_agent.acquisition.framing.one_a_line import OneALine
from edge_agent.acquisition.shown import shown
from edge_agent.strict import counted

_ANOTHER_DIALECT = 20
"""Number of malformed lines in a row after which the dialect is detected again."""


class CsvDecoder:
    """Decodes bytes to rows. ``malformed`` counts the dropped lines.

    Args:
        columns: number of columns of a sample.
        names: names of the columns, for lines with labels.
    """

    def __init__(self, columns: int, names: Sequence[str] = ()) -> None:
        self._columns, self._names = columns, list(names)
        self._lines = Lines()
        self._one_a_line = OneALine(self._names)
        self._known = dialects(self._names)
        self._dialect: Dialect | None = None
        self._malformed = self._in_a_row = 0
        self._last: bytes | None = None
        self.unit, self.wanted = "line", counted(columns, "decimal")

    @property
    def malformed(self) -> int:
        """Number of dropped lines."""
        return self._malformed + self._lines.overlong + self._one_a_line.cut

    @property
    def example(self) -> str:
        """The last dropped line, and its fault."""
        if self._last is None:
            return self._one_a_line.example or self._lines.endless
        return f"{shown(self._last)}: {why_malformed(bare(self._last), self._columns, self._names)}"

    def restart(self) -> None:
        """Resynchronize after an interruption: drop all bytes until the end of the next line."""
        self._lines.restart()
        self._one_a_line.restart()

    def feed(self, data: bytes) -> Numbers:
        """Return the rows ``[n, columns]`` of all lines that end in ``data``; n may be 0."""
        lines = self._lines.feed_text(data)
        if not lines:
            return np.empty((0, self._columns))
        values = None
        if self._dialect is not None:
            plain = self._dialect is self._known[0]  # unchanged lines: saves a call per line
            values = decimals(lines if plain else [self._dialect(line) for line in lines], self._columns)
            self._in_a_row = 0 if values is not None else self._in_a_row
        if values is None:
            values = [number for line in lines for number in self._one(line)]
        return np.array(values, np.float64).reshape(-1, self._columns)

    def _one(self, line: bytes) -> list[float]:
        """Return the numbers that one line completes; none if it is malformed."""
        text = bare(line)
        if not text.strip():
            return []
        for dialect in self._known if self._dialect is None else [self._dialect]:
            values = decimals([dialect(text)], self._columns)
            if values is not None:
                self._dialect, self._in_a_row = dialect, 0
                return values
        values = self._one_a_line.feed(text) if self._dialect is None else None
        if values is not None:
            return values
        self._last = line
        self._malformed += 1
        self._in_a_row += 1
        if self._in_a_row >= _ANOTHER_DIALECT:
            self._dialect = None
        return []
