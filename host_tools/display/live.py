"""A table on a terminal that is redrawn after a change, at most four times a second."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live

from edge_agent.printable import printable
from host_tools.display.console import stderr_console

_DRAW_EVERY_S = 0.25
_MOST_SHARE = 0.1
"""The share of a core that drawing may take. A large fleet is drawn less often."""
_AGES_EVERY_S = 5.0
"""The interval between drawings without a change, as the ages in the table grow."""


class LiveTable:
    """Draws the renderable that ``draw`` returns for a number of lines; use it in a ``with`` statement."""

    def __init__(self, draw: Callable[[int], RenderableType], console: Console | None = None) -> None:
        self._draw = draw
        self._console = console or stderr_console()
        self._drawn_at = 0.0
        self._every_s = _DRAW_EVERY_S
        self._changed = True
        self._live = Live(
            console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False,
            vertical_overflow="crop",
        )  # fmt: skip

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None or kind is KeyboardInterrupt:
            self.draw()
        self._live.__exit__(kind, error, trace)

    @property
    def wait_s(self) -> float:
        """The seconds until the next drawing is due."""
        every_s = self._every_s if self._changed else _AGES_EVERY_S
        return max(0.0, self._drawn_at + every_s - time.monotonic())

    def changed(self) -> None:
        """Mark the drawing as outdated."""
        self._changed = True

    def note(self, text: str) -> None:
        """Print a sentence above the table."""
        self._console.print(printable(text))

    def tick(self) -> None:
        """Draw if a drawing is due."""
        if self.wait_s == 0.0:
            self.draw()

    def draw(self) -> None:
        """Draw now."""
        self._drawn_at, self._changed = time.monotonic(), False
        began = time.process_time()
        self._live.update(self._draw(self._console.height - 1), refresh=True)
        self._every_s = max(_DRAW_EVERY_S, (time.process_time() - began) / _MOST_SHARE)
