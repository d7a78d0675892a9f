"""The end of a child process: the reason, and its last line of output. Pure."""

import signal
from dataclasses import dataclass
from typing import Literal

from edge_agent.process.program import EXIT_OUT_OF_MEMORY

_OUT_OF_MEMORY_WORDS = ("MemoryError", "std::bad_alloc", "Cannot allocate memory", "Failed to allocate memory")

Reason = Literal["exited", "signaled", "timeout", "out_of_memory", "stopped"]


@dataclass(frozen=True, slots=True)
class ChildExit:
    """The end of a child. ``signal`` is 0 unless one ended it; ``stderr_tail`` is the last 8 KiB of standard error."""

    returncode: int
    reason: Reason
    signal: int
    stderr_tail: str
    seconds: float

    def describe(self) -> str:
        """Return a predicate for a sentence: how the child died, with its last words."""
        if self.signal:
            try:
                name = signal.Signals(self.signal).name
            except ValueError:  # a real-time signal
                name = f"signal {self.signal}"
            how = f"was killed by {name}"
        else:
            how = f"exited with {self.returncode} without reporting a result"
        words = last_words(self.stderr_tail)
        return f"{how}: {words}" if words else how


def last_words(stderr_tail: str) -> str:
    """Return the most useful line of standard error: the last one, or for a fatal error the one before its dump."""
    lines = [line.strip() for line in stderr_tail.splitlines() if line.strip()]
    fatal = [number for number, line in enumerate(lines) if line.startswith("Fatal Python error")]
    if fatal:  # then the interpreter's dump of all threads follows
        lines = lines[: max(fatal[-1], 1)]
    return lines[-1][:300] if lines else ""


def reports_out_of_memory(returncode: int, stderr_tail: str, *, limited: bool) -> bool:
    """Return whether a failed child ran out of memory; its words count only if a limit was set."""
    if returncode == EXIT_OUT_OF_MEMORY:
        return True
    words = stderr_tail.rstrip().rpartition("\n")[2]
    return limited and any(word in words for word in _OUT_OF_MEMORY_WORDS)
