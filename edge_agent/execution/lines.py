"""The lines of a worker's standard output, within limits.

A worker may have opened a hostile model, so its output must not fill the daemon's inbox or log. Texts are cut, progress
is limited to a few events a second, and only the first few invalid lines are logged.
"""

import logging
from collections.abc import Callable
from typing import Literal

import msgspec

from edge_agent.foreign.allowance import Allowance
from edge_agent.foreign.decoding import cut_text
from edge_agent.jobs.task import Stage
from edge_agent.strict import UNDECODABLE

OnProgress = Callable[[float, str, float | None], None]
"""Fraction (0 to 1), current activity, seconds left or None."""

MOST_DETAIL = 300
"""Most characters of a progress detail."""
_PER_S, _BURST = 20.0, 50
"""Limits of progress events; our own workers send four a second."""
_LOGGED = 5
"""Invalid lines that are logged in full."""
_LONGEST_S = 10 * 365 * 86_400.0
_log = logging.getLogger(__name__)


class Event(msgspec.Struct, frozen=True):
    """One line of a worker: progress (fraction, detail, eta_s) or end (code, message, status)."""

    event: Literal["progress", "end"]
    fraction: float = 0.0
    detail: str = ""
    eta_s: float | None = None
    code: str = ""
    message: str = ""
    status: Literal["ok", "rejected", "failed"] = "failed"


class WorkerLines:
    """The lines of one run of ``stage``. Not thread-safe.

    Attributes:
        end: the worker's last ``end`` event, or None.
    """

    def __init__(self, stage: Stage, on_progress: OnProgress) -> None:
        self.end: Event | None = None
        self._stage = stage
        self._on_progress = on_progress
        self._allowance = Allowance(_PER_S, _BURST)
        self._not_understood = 0

    def take(self, line: str) -> None:
        """Process one line."""
        try:
            event = msgspec.json.decode(line, type=Event)
        except UNDECODABLE as error:
            self._not_understood += 1
            if self._not_understood <= _LOGGED:
                text = "%s wrote a line that is not part of the protocol (%s): %.200r"
                _log.warning(text, self._stage, cut_text(str(error), 200), line)
            return
        if event.event == "end":
            self.end = msgspec.structs.replace(event, code=cut_text(event.code, 80), message=cut_text(event.message))
        elif self._allowance.take():
            eta_s = None if event.eta_s is None else min(event.eta_s, _LONGEST_S)
            self._on_progress(event.fraction, cut_text(event.detail, MOST_DETAIL), eta_s)

    def close(self) -> None:
        """Log the number of suppressed lines; call it when the worker has ended."""
        if self._not_understood > _LOGGED:
            more = self._not_understood - _LOGGED
            _log.warning("%s wrote %d more lines that are not part of the protocol", self._stage, more)
