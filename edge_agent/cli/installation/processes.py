"""The processes that run from a folder, by ``/proc``."""

from pathlib import Path

_PROC = Path("/proc")


def runs_from(pid: int, folder: Path) -> bool:
    """Whether a process was started by a program in ``folder``, or has loaded a library there.

    A venv's scripts contain the real path of its Python, so a process that was started through a link shows it, too.
    """
    inside = [f"{path}/".encode() for path in {folder, folder.resolve()}]
    try:
        line = (_PROC / f"{pid}/cmdline").read_bytes()
        loaded = (_PROC / f"{pid}/maps").read_bytes()
    except OSError:  # it has ended, or belongs to another user
        return False
    return any(path in line or path in loaded for path in inside)


def users(folder: Path) -> list[int]:
    """The processes that run from ``folder``, as far as this user can see."""
    pids = sorted(int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal())
    return [pid for pid in pids if runs_from(pid, folder)]
