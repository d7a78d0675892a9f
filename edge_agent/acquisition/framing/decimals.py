"""Lines of decimals become samples. Pure.

One line is one sample: as many decimals as there are columns, in their order; LF, CR LF or CR; blanks around a number,
empty lines and a terminal's colours do no harm, ``nan`` and ``inf`` are numbers (quality will speak of them). What
stands between numbers, or labels before them, is found by the first line that is a sample (:mod:`.dialects`); labelled
numbers may also come one a line (:mod:`.one_a_line`). A line that is anything else is counted and dropped, a firmware's
words when it boots included. After many such lines in a row, the dialect is looked for anew.

Lines are decoded a block at a time; only a block with a malformed line in it is looked at line by line.
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
"""After so many malformed lines in a row."""


class CsvDecoder:
    """Feed it bytes; it gives rows. ``malformed`` counts the lines that were dropped.

    Args:
        columns: how many numbers a sample has.
        names: of them, for lines with labels.
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
        """Lines that were dropped."""
        return self._malformed + self._lines.overlong + self._one_a_line.cut

    @property
    def example(self) -> str:
        """The last of them, and what is wrong with it."""
        if self._last is None:
            return self._one_a_line.example or self._lines.endless
        return f"{shown(self._last)}: {why_malformed(bare(self._last), self._columns, self._names)}"

    def restart(self) -> None:
        """The stream was interrupted: drop what is left of a line, and what comes until the next line's end."""
        self._lines.restart()
        self._one_a_line.restart()

    def feed(self, data: bytes) -> Numbers:
        """The rows ``[n, columns]`` of all lines that end in ``data``; n may be 0."""
        lines = self._lines.feed_text(data)
        if not lines:
            return np.empty((0, self._columns))
        values = None
        if self._dialect is not None:
            plain = self._dialect is self._known[0]  # as it is: no time for a call a line
            values = decimals(lines if plain else [self._dialect(line) for line in lines], self._columns)
            self._in_a_row = 0 if values is not None else self._in_a_row
        if values is None:
            values = [number for line in lines for number in self._one(line)]
        return np.array(values, np.float64).reshape(-1, self._columns)

    def _one(self, line: bytes) -> list[float]:
        """The numbers that are complete with one line; none if it is malformed."""
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
