"""Which processes run from a folder, as ``/proc`` tells."""

from pathlib import Path

_PROC = Path("/proc")


def runs_from(pid: int, folder: Path) -> bool:
    """Whether a process was started by a program in ``folder``, or has loaded a library there.

    A venv's scripts name its Python by its own path, so a process that was started through a link shows the real one.
    """
    inside = [f"{path}/".encode() for path in {folder, folder.resolve()}]
    try:
        said = (_PROC / f"{pid}/cmdline").read_bytes()
        loaded = (_PROC / f"{pid}/maps").read_bytes()
    except OSError:  # it has ended, or is none of ours
        return False
    return any(path in said or path in loaded for path in inside)


def users(folder: Path) -> list[int]:
    """The processes that run from ``folder``, as far as this user may know."""
    pids = sorted(int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal())
    return [pid for pid in pids if runs_from(pid, folder)]
