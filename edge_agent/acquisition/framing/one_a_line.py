"""Lines with one labelled number each become samples. Pure.

``x: 1.5`` and ``y: -2`` on a line of its own each, or as Teleplot has it: ``>x:1.5``, ``>x:1627551892437:1.5``,
``>x:1.5§g|np``. Nothing in such lines says where a sample begins, so it begins with the first name, and the others have
to follow in their order; a sample in which one is missing is dropped. Lines of other names do no harm.
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
    """Feed it lines; it gives rows.

    Attributes:
        cut: samples that were dropped because a name was missing; the one that had begun before the first is not.
        example: the last line that cut one, and what is wrong with it; empty if there is none.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = [name.encode() for name in names]
        self.cut, self.example = 0, ""
        self.restart()

    def restart(self) -> None:
        """The stream was interrupted: what has come of a sample is none."""
        self._row: list[float] = []
        self._met = False
        """Whether the first name has come, from which on other names are known to be of other things."""

    def feed(self, line: bytes) -> list[float] | None:
        """The numbers that are complete with ``line``, mostly none; None: it is no such line."""
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
            self.example = (
                f"{shown(line)}: it came before {missing}; name channels as the labels, in the order they come in"
            )
        self._row = []
