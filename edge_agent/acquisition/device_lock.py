"""The lock on a device's file, which every edge-agent takes so that it has one reader; and who holds it."""

import errno
import fcntl
import os
import re
from pathlib import Path

from edge_agent.advice.permission import not_permitted
from edge_agent.errors import SourceError
from edge_agent.strict import why

_WRAPPED = re.compile(r"\(\d+, '([^']*)'\)$|\[Errno -?\d+\] (.*)$")
ADDRESS_ADVICE = "check that the sensor runs, and that it serves this address"
"""The next step where a sensor is reached over the network."""
_BUSY = (errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK)


class DeviceLock:
    """Locks ``path`` from construction until ``release``; the kernel releases it if the process dies.

    Raises:
        SourceError: ``source_busy`` with the holder's name, ``source_unavailable`` if the file is missing or not
            permitted.
    """

    def __init__(self, path: str, group: str) -> None:
        self._descriptor = -1
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.release()
            raise open_error(path, error, group) from None

    @property
    def descriptor(self) -> int:
        """The open file, to read from."""
        return self._descriptor

    def release(self) -> None:
        """Release the lock; may be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def open_error(path: str, error: BaseException, group: str, what: str = "") -> SourceError:
    """Convert ``error`` on opening ``path`` to a ``SourceError`` with advice.

    Args:
        path: the device's file.
        error: the exception on opening.
        group: the group whose members may open it.
        what: a phrase such as " as a serial port", for unspecific errors; may be empty.
    """
    number = getattr(error, "errno", None)
    if number in _BUSY:
        return SourceError("source_busy", f"{path} is in use by {holder(path)}; stop it")
    if number in (errno.EACCES, errno.EPERM):
        return SourceError("source_unavailable", not_permitted(path, group, mode=os.R_OK | os.W_OK))
    if number in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return SourceError("source_unavailable", f"{path} does not exist; check cable and configuration")
    if "://" in path:
        return SourceError("source_unavailable", f"no sensor at {path}: {_reason(error)}; {ADDRESS_ADVICE}")
    return SourceError("source_unavailable", f"{path} cannot be opened{what}: {_reason(error)}; check the config")


def _reason(error: BaseException) -> str:
    """Return the message of an error; pyserial wraps the system's error with its number."""
    text = why(error)
    wrapped = _WRAPPED.search(text)
    return (wrapped[1] or wrapped[2]) if wrapped else text


def holder(path: str) -> str:
    """Return the process that holds a lock on ``path``, by the kernel's list of locks, or that has it open."""
    try:
        status = Path(path).stat()
        wanted = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
        for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            fields = line.split()
            if wanted in fields and fields[4] != "0":
                return _named(Path("/proc", fields[4]))
    except (OSError, UnicodeDecodeError, IndexError):
        pass
    return next((_named(process) for process in _openers(path)), "another process")


def in_use(path: str) -> bool:
    """Return whether another process that we may inspect has ``path`` open."""
    return bool(_openers(path))


def _openers(path: str) -> list[Path]:
    real, found = os.path.realpath(path), []
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        try:
            if any(os.readlink(entry) == real for entry in process.joinpath("fd").iterdir()):  # noqa: PTH115  # as text
                found.append(process)
        except OSError:  # it is another user's, or has ended
            continue
    return found


def _named(process: Path) -> str:
    try:
        return f"process {process.name} ({process.joinpath('comm').read_text(encoding='utf-8').strip()})"
    except (OSError, UnicodeDecodeError):
        return "another process"
