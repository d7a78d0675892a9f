"""A model file that a worker has left, on its way into a release: opened without following links, proved, copied."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge_agent.errors import StoreError
from edge_agent.foreign.copying import Copied, copy_file, hash_file
from edge_agent.foreign.opening import open_file


@dataclass(frozen=True, slots=True)
class ModelFile:
    """Where a model file lies, and what it must be.

    Attributes:
        folder: ours.
        names: the way from there, as a worker has left it; the last one is the file.
        sha256: what was judged; empty: nobody has said.
        most_bytes: as large as it may be.
    """

    folder: Path
    names: tuple[str, ...]
    sha256: str
    most_bytes: int

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self.folder.joinpath(*self.names)

    def look(self) -> Copied:
        """Its hash and size; raises as :meth:`copy`."""
        return self._proved(self._pass(hash_file))

    def copy(self, target: Path) -> Copied:
        """Copy it; what is copied is what is proved.

        Raises:
            StoreError: ``release_corrupt``: it is no file, is too large, or is not what was judged.
            OSError: the disk does not take the copy.
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
            raise self._unfit("it is not what was judged any more")
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
