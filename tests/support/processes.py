"""Whether a process that is not our child still runs; who reaps it, and when, makes no difference."""

import time
from pathlib import Path


def alive(pid: int) -> bool:
    """Whether ``pid`` runs; a zombie, which waits for its parent or for PID 1 to reap it, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone(pid: int, timeout_s: float = 60) -> bool:
    """Whether ``pid`` ends in time; no event tells of a process that is not our child."""
    deadline = time.monotonic() + timeout_s
    while alive(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
