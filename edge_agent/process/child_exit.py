"""How a child process ended, and what its last words are. Pure."""

import signal
from dataclasses import dataclass
from typing import Literal

from edge_agent.process.program import EXIT_OUT_OF_MEMORY

_OUT_OF_MEMORY_WORDS = ("MemoryError", "std::bad_alloc", "Cannot allocate memory", "Failed to allocate memory")

Reason = Literal["exited", "signaled", "timeout", "out_of_memory", "stopped"]


@dataclass(frozen=True, slots=True)
class ChildExit:
    """How a child ended. ``signal`` is 0 unless one ended it; ``stderr_tail`` its last 8 KiB of standard error."""

    returncode: int
    reason: Reason
    signal: int
    stderr_tail: str
    seconds: float

    def describe(self) -> str:
        """How it died, with its last words; to follow a subject."""
        if self.signal:
            try:
                name = signal.Signals(self.signal).name
            except ValueError:  # a real-time signal
                name = f"signal {self.signal}"
            how = f"was killed by {name}"
        else:
            how = f"exited with {self.returncode} without saying how it ended"
        words = last_words(self.stderr_tail)
        return f"{how}: {words}" if words else how


def last_words(stderr_tail: str) -> str:
    """The line of standard error that says most: the last one, but for a fatal error the one before its dump."""
    lines = [line.strip() for line in stderr_tail.splitlines() if line.strip()]
    fatal = [number for number, line in enumerate(lines) if line.startswith("Fatal Python error")]
    if fatal:  # what follows is the interpreter's dump of all threads
        lines = lines[: max(fatal[-1], 1)]
    return lines[-1][:300] if lines else ""


def reports_out_of_memory(returncode: int, stderr_tail: str, *, limited: bool) -> bool:
    """Whether a failed child tells that memory was refused to it; its words count only where a limit was set."""
    if returncode == EXIT_OUT_OF_MEMORY:
        return True
    words = stderr_tail.rstrip().rpartition("\n")[2]
    return limited and any(word in words for word in _OUT_OF_MEMORY_WORDS)
