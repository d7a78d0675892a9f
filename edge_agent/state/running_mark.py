"""A file that exists while the daemon runs. At a start, an old one shows that the last run did not end cleanly."""

import logging
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path

from edge_agent.state.durable import write_durably

log = logging.getLogger(__name__)


class Before(Enum):
    """How the previous run ended."""

    CLEANLY = auto()
    """Also if there was no previous run, or its version wrote no mark."""
    KILLED = auto()
    """The machine kept running: the process crashed or was killed."""
    WITH_THE_MACHINE = auto()
    """The machine was switched off or restarted without waiting for the process."""


class RunningMark:
    """The mark at ``path``. It is written once per boot, so that repeated crashes do not wear out the SD card."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self, boot_id: str) -> Before:
        """Mark the start of a run in the boot ``boot_id`` and return how the previous run ended."""
        try:
            found = self._path.read_text(encoding="utf-8", errors="replace")[:100]
        except OSError:
            found = None
        if found != boot_id:
            try:
                write_durably(self._path, boot_id.encode())
            except OSError as error:  # the next start cannot report a crash, nothing else is lost
                log.warning("cannot write %s: %s", self._path, error.strerror)
        if found is None:
            return Before.CLEANLY
        return Before.KILLED if found == boot_id else Before.WITH_THE_MACHINE

    def end(self) -> None:
        """Remove the mark at a clean end."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
