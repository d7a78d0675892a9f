"""Decodes lines of JSON; :mod:`edge_agent.acquisition.framing.fields` defines the documents. Pure."""

import numpy as np

from edge_agent.acquisition.framing import Numbers
from edge_agent.acquisition.framing.fields import Fields, Malformed
from edge_agent.acquisition.framing.lines import Lines, bare
from edge_agent.acquisition.shown import shown


class JsonDecoder:
    """Decodes bytes to rows. ``malformed`` counts the dropped lines."""

    def __init__(self, names: list[str]) -> None:
        self._fields = Fields(names)
        self._columns = len(names)
        self._lines = Lines()
        self._malformed = 0
        self._last: bytes | None = None
        self.unit, self.wanted = "line", f"JSON with numbers {', '.join(names)}"

    @property
    def malformed(self) -> int:
        """Number of dropped lines."""
        return self._malformed + self._lines.overlong

    @property
    def example(self) -> str:
        """The last dropped line, and its fault."""
        if self._last is None:
            return self._lines.endless
        return f"{shown(self._last)}: {self._fields.why_malformed(bare(self._last))}"

    def restart(self) -> None:
        """Resynchronize after an interruption: drop all bytes until the end of the next line."""
        self._lines.restart()

    def feed(self, data: bytes) -> Numbers:
        """Return the rows ``[n, columns]`` of all lines that end in ``data``; n may be 0."""
        rows: list[list[float]] = []
        for line in self._lines.feed_text(data):
            try:
                rows += self._fields.rows(bare(line))
            except Malformed:
                self._malformed += 1
                self._last = line
        return np.array(rows, np.float64).reshape(-1, self._columns)
