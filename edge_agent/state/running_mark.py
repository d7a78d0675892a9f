"""A file that is there while the daemon runs: where it is found at a start, the run before did not end cleanly."""

import logging
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path

from edge_agent.state.durable import write_durably

log = logging.getLogger(__name__)


class Before(Enum):
    """How the run before ended."""

    CLEANLY = auto()
    """Or there was none, or one of a version that leaves no mark."""
    KILLED = auto()
    """The machine went on: the process crashed or was killed."""
    WITH_THE_MACHINE = auto()
    """The machine was switched off or restarted, and did not wait for the process."""


class RunningMark:
    """The mark at ``path``; written at a start that finds none of this boot, so that crashes wear no card."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self, boot_id: str) -> Before:
        """Mark a run that begins in the boot ``boot_id``; returns how the one before it ended."""
        try:
            found = self._path.read_text(encoding="utf-8", errors="replace")[:100]
        except OSError:
            found = None
        if found != boot_id:
            try:
                write_durably(self._path, boot_id.encode())
            except OSError as error:  # costs the next start the word about a crash, no more
                log.warning("cannot write %s: %s", self._path, error.strerror)
        if found is None:
            return Before.CLEANLY
        return Before.KILLED if found == boot_id else Before.WITH_THE_MACHINE

    def end(self) -> None:
        """The run ends cleanly."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
