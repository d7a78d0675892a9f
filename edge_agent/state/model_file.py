"""A worker's model file on its way into a release: opened without following links, verified, copied."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge_agent.errors import StoreError
from edge_agent.foreign.copying import Copied, copy_file, hash_file
from edge_agent.foreign.opening import open_file


@dataclass(frozen=True, slots=True)
class ModelFile:
    """The place of a model file, and its expected hash and size.

    Attributes:
        folder: a folder of the daemon.
        names: the path inside it, which a worker has written; the last name is the file.
        sha256: hash of the file that was judged; empty: not known.
        most_bytes: the largest size allowed.
    """

    folder: Path
    names: tuple[str, ...]
    sha256: str
    most_bytes: int

    @property
    def path(self) -> Path:
        """The file's path."""
        return self.folder.joinpath(*self.names)

    def look(self) -> Copied:
        """Return its hash and size; raises as :meth:`copy`."""
        return self._proved(self._pass(hash_file))

    def copy(self, target: Path) -> Copied:
        """Copy the file and verify the bytes that were copied.

        Raises:
            StoreError: ``release_corrupt``: it is not a file, is too large, or is not the file that was judged.
            OSError: the copy cannot be written.
        """
        return self._proved(self._pass(lambda source: copy_file(source, target, most_bytes=self.most_bytes)))

    def _pass(self, use: Callable[[int], Copied]) -> Copied:
        try:
            descriptor = open_file(self.folder, *self.names)
        except OSError as error:
            raise self._unfit(error.strerror or "it cannot be read") from None
        try:
            if (size := os.fstat(descriptor).st_size) > self.most_bytes:
                raise self._unfit(f"it has {size} bytes, more than {self.most_bytes}")
            return use(descriptor)
        finally:
            os.close(descriptor)

    def _proved(self, found: Copied) -> Copied:
        if self.sha256 and found.sha256 != self.sha256:
            raise self._unfit("it is no longer the file that was judged")
        return found

    def _unfit(self, why: str) -> StoreError:
        return StoreError("release_corrupt", f"{self.path}: {why}; check the SD card, and push the model again")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file; raises ``OSError``."""
    descriptor = open_file(path.parent, path.name)
    try:
        return hash_file(descriptor).sha256
    finally:
        os.close(descriptor)
