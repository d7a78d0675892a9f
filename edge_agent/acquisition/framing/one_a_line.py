"""Decodes lines with one labelled number each. Pure.

The lines are like ``x: 1.5`` and ``y: -2``, or in Teleplot's format: ``>x:1.5``, ``>x:1627551892437:1.5``,
``>x:1.5§g|np``. They do not mark the beginning of a sample, so it begins with the first name, and the others must
follow in order. A sample with a missing number is dropped. Lines with other names are ignored.
"""

import re
from collections.abc import Sequence

from edge_agent.acquisition.framing.dialects import decimals
from edge_agent.acquisition.shown import shown

_LINE = re.compile(
    rb"\s*>?\s*(?P<name>[^\s:=,;>][^:=,;\t]*?)\s*[:=]\s*(?:\d+(?:\.\d+)?:)?(?P<value>[^\s:=,;|\xc2]+)"
    rb"\s*(?:\xc2\xa7[^|]*)?(?:\|\S*)?\s*"
)


class OneALine:
    """Decodes lines to rows.

    Attributes:
        cut: number of samples dropped because a name was missing, without a partial one before the first.
        example: the last line that interrupted a sample, and its fault; empty if there is none.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = [name.encode() for name in names]
        self.cut, self.example = 0, ""
        self.restart()

    def restart(self) -> None:
        """Drop a partial sample after an interruption of the stream."""
        self._row: list[float] = []
        self._met = False
        """Whether the first name was seen; from then on lines with other names are ignored."""

    def feed(self, line: bytes) -> list[float] | None:
        """Return the numbers of the sample that ``line`` completes, mostly none; None: it is no such line."""
        found = _LINE.fullmatch(line)
        value = decimals([found["value"]], 1) if found else None
        if found is None or value is None:
            return None
        name = found["name"]
        if name not in self._names:
            return [] if self._met else None
        if name != self._names[len(self._row)]:
            self._cut(line)
        if name != self._names[len(self._row)]:
            return []
        self._met = True
        self._row += value
        if len(self._row) < len(self._names):
            return []
        row, self._row = self._row, []
        return row

    def _cut(self, line: bytes) -> None:
        if self._met:
            self.cut += 1
            missing = self._names[len(self._row)].decode()
            self.example = f"{shown(line)}: it came before {missing}; name channels like the labels, in the same order"
        self._row = []
