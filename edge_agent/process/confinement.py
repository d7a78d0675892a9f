"""The confinement of each kind of process, applied before it opens foreign data.

An *opener* opens a model, an ``.npz`` or an order. It has no connections, reads the files of its task and the runtimes,
and writes only to its own folder. A *sensor process* opens a sensor and no model. It may use devices, and the network
if the sensor may be connected by it, and writes only to its own folder.
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
    *("/proc", "/sys"),  # a runtime that cannot read the processor's features is slow, or crashes
    *("/etc/ld.so.cache", "/etc/localtime", "/etc/passwd", "/etc/nsswitch.conf", "/etc/ssl/openssl.cnf"),
)


def confine_opener(*, write: Sequence[Path] = (), read: Iterable[Path] = ()) -> list[str]:
    """Confine a process that opens foreign data; return the active layers.

    Args:
        write: its own folders; the first one gets the temporary files.
        read: other files and folders that it needs.

    Raises:
        StageError: the kernel has a layer and refuses it.
        OSError: one of its own folders does not exist.
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
    """Confine a process that opens a sensor; return the active layers, and raise as :func:`confine_opener` does.

    Args:
        write: its own folders.
        families: socket families (``AF_…``) that the sensor may need, besides local sockets.
        devices: folders of devices and settings besides ``/dev`` and ``/sys``.
        death: the signal that it receives when its parent dies.
    """
    held = sandbox.confine(death)
    os.environ["TMPDIR"] = tempfile.tempdir = str(write[0])  # a folder in which a driver and its children may write
    held += landlock.restrict(write=write, tcp=socket.AF_INET in families, devices=devices)
    return held + seccomp.forbid(model=False, families=(socket.AF_UNIX, *families))


def _runtimes() -> list[Path]:
    """Return the folders of this interpreter, its packages and their libraries."""
    ours = Path(__file__).resolve().parents[2]
    libraries = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    named = (sys.prefix, sys.base_prefix, *filter(None, (*sys.path, *libraries)), *_LIBRARIES)
    return [ours, *map(Path, dict.fromkeys(named))]
