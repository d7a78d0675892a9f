"""What each kind of process gives up before it opens anything foreign.

An *opener* opens a model, an ``.npz`` or an order. It talks to nobody, reads its task's files and the runtimes', and
writes its own folder. A *sensor process* opens a sensor and no model. It has devices, and the network if the sensor may
hang on it, and writes its own folder.
"""

import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from edge_agent.process import landlock, sandbox, seccomp

_LIBRARIES = ("/usr", "/lib", "/lib64", "/bin")
_SYSTEM = (
    *("/proc", "/sys"),  # a runtime that is not shown the processor leaves out what makes it fast, or crashes
    *("/etc/ld.so.cache", "/etc/localtime", "/etc/passwd", "/etc/nsswitch.conf", "/etc/ssl/openssl.cnf"),
)


def confine_opener(*, write: Sequence[Path] = (), read: Iterable[Path] = ()) -> list[str]:
    """Confine a process that opens what others have sent; returns the layers that hold.

    Args:
        write: its own folders, the first of which is where temporary files go.
        read: files and folders that it needs besides.

    Raises:
        StageError: the kernel has a layer and refuses it.
        OSError: a folder of its own is not there.
    """
    held = sandbox.confine()
    if write:
        os.environ["TMPDIR"] = tempfile.tempdir = str(write[0])
        held += sandbox.bound(write[0])
    held += landlock.restrict(write=write, tcp=False, read=[*read, *map(Path, _SYSTEM)], run=_runtimes())
    return held + seccomp.forbid(model=True)


def confine_sensor(
    *,
    write: Sequence[Path],
    families: Sequence[int] = (),
    devices: Iterable[Path] = (),
    death: signal.Signals = signal.SIGKILL,
) -> list[str]:
    """Confine a process that opens a sensor; returns the layers that hold, and raises as :func:`confine_opener`.

    Args:
        write: its own folders.
        families: of sockets (``AF_…``) that the sensor may hang on, besides this computer's own.
        devices: folders of devices and settings besides ``/dev`` and ``/sys``.
        death: what it gets when its parent has died.
    """
    held = sandbox.confine(death)
    os.environ["TMPDIR"] = tempfile.tempdir = str(write[0])  # where a driver, and what it starts, finds it may write
    held += landlock.restrict(write=write, tcp=socket.AF_INET in families, devices=devices)
    return held + seccomp.forbid(model=False, families=(socket.AF_UNIX, *families))


def _runtimes() -> list[Path]:
    """Where this interpreter, its packages and their libraries lie."""
    ours = Path(__file__).resolve().parents[2]
    libraries = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    named = (sys.prefix, sys.base_prefix, *filter(None, (*sys.path, *libraries)), *_LIBRARIES)
    return [ours, *map(Path, dict.fromkeys(named))]
