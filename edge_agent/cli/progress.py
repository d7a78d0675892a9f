"""The progress of a command: one line on stderr that is redrawn in place, on a terminal only. Never on stdout."""

import sys
from types import TracebackType
from typing import Self

from edge_agent.printable import printable

_MOST = 200


class ProgressLine:
    """Draws ``stage  40 %  detail  (3 s left)``. Where stderr is no terminal, it draws nothing."""

    def __init__(self) -> None:
        self._draws = sys.stderr.isatty()

    def show(self, stage: str, fraction: float, detail: str, eta_s: float | None) -> None:
        """Replace the line."""
        if not self._draws:
            return
        left = f"  ({eta_s:.0f} s left)" if round(eta_s or 0.0) else ""
        sys.stderr.write(f"\r\x1b[K{stage:<9} {fraction:4.0%}  {printable(detail, _MOST)}{left}")
        sys.stderr.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._draws:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
