"""A folder for each version, and the link ``current`` to the one that runs.

    /opt/edge-agent/0.1.0
    /opt/edge-agent/0.2.0
    /opt/edge-agent/0.2.0-2          0.2.0 installed again
    /opt/edge-agent/current -> 0.2.0-2
    /opt/edge-agent/venv             the only folder of versions without ``current``

A venv contains its own path, so a folder has its final name from the start. Until a version is complete, its folder
has a file ``.unfinished``, and may be removed by the next installation. The link moves in one step, after the whole
version has reached the disk. Only venvs of edge-agent are removed, and none that a process runs from.
"""

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from edge_agent.cli.installation.processes import users
from edge_agent.errors import ConfigError, LimitError
from edge_agent.state.durable import fsync_dir, link_durably

CURRENT = "current"
OLD_NAME = "venv"
NEEDED_BYTES = 700_000_000
"""The space for a version with all runtimes: 510 MB installed, and the downloads of pip."""
_UNFINISHED = ".unfinished"
_VERSION = re.compile(r"[0-9][A-Za-z0-9.+!_]*(-[0-9]+)?")


class Versions:
    """The versions below one prefix."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Exclude a second installation."""
        try:
            self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise ConfigError("usage", f"cannot make {self.folder}: {error.strerror}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError("usage", f"another edge-agent install works in {self.folder}; let it end") from None
        else:
            yield
        finally:
            os.close(descriptor)

    @property
    def active(self) -> Path | None:
        """The folder of the active version."""
        link = self.folder / CURRENT
        if link.is_symlink():
            return self.folder / link.readlink()
        if link.exists():
            raise ConfigError("usage", f"{link} is no link; move it away")
        old = self.folder / OLD_NAME
        return old if _is_version(old) else None

    def all(self) -> list[Path]:
        """Every version's folder, finished or not."""
        return sorted(path for path in self.folder.iterdir() if _is_version(path))

    def begin(self, version: str) -> Path:
        """Make the folder of a version, and remove unfinished ones before."""
        for path in self.all():
            if _is_unfinished(path) and path != self.active and not users(path):
                shutil.rmtree(path)
        free = shutil.disk_usage(self.folder).free
        if free < NEEDED_BYTES:
            text = f"{free // 10**6} MB are free for {self.folder}, a version needs {NEEDED_BYTES // 10**6}"
            raise LimitError("no_space", f"{text}; make room, nothing was changed")
        names = (version if n == 1 else f"{version}-{n}" for n in count(1))
        folder = next(self.folder / name for name in names if not os.path.lexists(self.folder / name))
        folder.mkdir(mode=0o755)
        self.doubt(folder)
        return folder

    def finish(self, folder: Path) -> None:
        """Mark the version as complete, once it is on disk."""
        os.sync()
        (folder / _UNFINISHED).unlink()
        fsync_dir(folder)

    def doubt(self, folder: Path) -> None:
        """Mark the version as unusable; the next installation removes it."""
        (folder / _UNFINISHED).touch()

    def activate(self, folder: Path | None) -> None:
        """Point ``current`` to this version, or remove it."""
        link = self.folder / CURRENT
        if folder is None:
            link.unlink(missing_ok=True)
        else:
            link_durably(folder.name, link)

    def remove_all_but(self, *kept: Path | None) -> Iterator[tuple[Path, list[int]]]:
        """Remove versions. Yields each with the processes that run from it; one with processes stays."""
        for path in self.all():
            if path in kept:
                continue
            pids = users(path)
            if not pids:
                shutil.rmtree(path)
                if path.name == OLD_NAME:  # applications start its Python by this path
                    path.symlink_to(CURRENT)
            yield path, pids


def site_packages(folder: Path) -> Path | None:
    """The folder of a venv's packages."""
    return next(folder.glob("lib/python3*/site-packages"), None)


def _is_version(path: Path) -> bool:
    if path.is_symlink() or not path.is_dir():
        return False
    if path.name != OLD_NAME and not _VERSION.fullmatch(path.name):
        return False
    return _is_unfinished(path) or ((path / "pyvenv.cfg").is_file() and (path / "bin/edge-agent").is_file())


def _is_unfinished(path: Path) -> bool:
    return (path / _UNFINISHED).is_file()
