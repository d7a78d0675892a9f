"""What a worker says on its standard output, as far as it is listened to.

A worker had a hostile model open. So texts are cut, progress is taken a few times a second at most, and of lines that
are not of the protocol the first few are logged: nothing that a worker writes makes the daemon's inbox or log grow.
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
"""fraction (0 to 1), what is being done, seconds left or None."""

MOST_DETAIL = 300
"""Characters of what is being done."""
_PER_S, _BURST = 20.0, 50
"""Progress; our own workers say it four times a second."""
_LOGGED = 5
"""Lines that are not of the protocol."""
_LONGEST_S = 10 * 365 * 86_400.0
_log = logging.getLogger(__name__)


class Event(msgspec.Struct, frozen=True):
    """A line of a worker: progress (fraction, detail, eta_s) or end (code, message, status)."""

    event: Literal["progress", "end"]
    fraction: float = 0.0
    detail: str = ""
    eta_s: float | None = None
    code: str = ""
    message: str = ""
    status: Literal["ok", "rejected", "failed"] = "failed"


class WorkerLines:
    """The lines of one run of ``stage``. For one thread.

    Attributes:
        end: what the worker said last of how it ended; None: nothing.
    """

    def __init__(self, stage: Stage, on_progress: OnProgress) -> None:
        self.end: Event | None = None
        self._stage = stage
        self._on_progress = on_progress
        self._allowance = Allowance(_PER_S, _BURST)
        self._not_understood = 0

    def take(self, line: str) -> None:
        """Take a line."""
        try:
            event = msgspec.json.decode(line, type=Event)
        except UNDECODABLE as error:
            self._not_understood += 1
            if self._not_understood <= _LOGGED:
                text = "%s wrote a line that is not of the protocol (%s): %.200r"
                _log.warning(text, self._stage, cut_text(str(error), 200), line)
            return
        if event.event == "end":
            self.end = msgspec.structs.replace(event, code=cut_text(event.code, 80), message=cut_text(event.message))
        elif self._allowance.take():
            eta_s = None if event.eta_s is None else min(event.eta_s, _LONGEST_S)
            self._on_progress(event.fraction, cut_text(event.detail, MOST_DETAIL), eta_s)

    def close(self) -> None:
        """The worker has ended: say how much was not logged."""
        if self._not_understood > _LOGGED:
            more = self._not_understood - _LOGGED
            _log.warning("%s wrote %d more lines that are not of the protocol", self._stage, more)
