"""Reads the arrays of an ``.npz`` row by row: only one row is in memory, however large the file.

An ``.npz`` is a zip of ``.npy`` members. Each member starts with a header (type, shape, order), followed by its rows,
compressed or not. Object arrays are never unpickled. An array in Fortran order (saved from a full transpose) has no
contiguous rows; it is unpacked once into a temporary file and mapped.
"""

import math
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format

from edge_agent.backends import Array
from edge_agent.errors import ContractError
from edge_agent.jobs.archives import DAMAGED
from edge_agent.strict import why

_npy: Any = npy_format
"""Untyped in numpy 1.26."""
_SUFFIX = ".npy"
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Member:
    """One array of the file. The first axis counts rows; a single value has no axis."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self.shape[0]

    @property
    def row_bytes(self) -> int:
        """The size of a row in memory, in bytes."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize


class ArrayFile:
    """An ``.npz``: its arrays and their rows.

    Attributes:
        members: name → array.
        unpacked_bytes: total unpacked size according to the zip's directory, which also bounds every read.
    """

    def __init__(self, path: Path, scratch: Path) -> None:
        """Read the headers.

        Args:
            path: the ``.npz``.
            scratch: a folder for temporary files.

        Raises:
            ContractError: ``data_unreadable`` if the file is not an ``.npz``, is damaged, or holds objects.
        """
        self._path = path
        self._scratch = scratch
        self.members: dict[str, Member] = {}
        self.unpacked_bytes = 0
        with self._reading(), zipfile.ZipFile(path) as archive:
            for entry in archive.namelist():
                if not entry.endswith(_SUFFIX):
                    raise ContractError(
                        "data_unreadable", f"{path.name} holds {entry!r}, which is not an array; remove it"
                    )
                size = archive.getinfo(entry).file_size
                with archive.open(entry) as file:
                    member = self._header(entry.removesuffix(_SUFFIX), file)
                    if size - file.tell() < math.prod(member.shape) * member.dtype.itemsize:
                        raise EOFError
                self.members[member.name] = member
                self.unpacked_bytes += size

    def rows(self, name: str, indices: Iterable[int]) -> Iterator[Array]:
        """The rows of one array at ascending ``indices``, each a fresh array of the row's shape."""
        member = self.members[name]
        if member.fortran:
            yield from self._mapped_rows(member, indices)
            return
        shape = member.shape[1:]
        row_bytes = member.row_bytes
        with self._reading(), zipfile.ZipFile(self._path) as archive, archive.open(name + _SUFFIX) as file:
            self._header(name, file)
            at = 0
            for index in indices:
                _skip(file, (index - at) * row_bytes)
                data = bytearray(_exactly(file, row_bytes))
                yield np.frombuffer(data, dtype=member.dtype, count=math.prod(shape)).reshape(shape)
                at = index + 1

    def load(self, name: str) -> Array:
        """A whole array, for labels and groups, which are small."""
        with self._reading(), zipfile.ZipFile(self._path) as archive, archive.open(name + _SUFFIX) as file:
            array: Array = _npy.read_array(file, allow_pickle=False)
        return array

    def _mapped_rows(self, member: Member, indices: Iterable[int]) -> Iterator[Array]:
        with tempfile.TemporaryFile(dir=self._scratch) as scratch:
            with self._reading(), zipfile.ZipFile(self._path) as archive:  # noqa: SIM117  # the header comes first
                with archive.open(member.name + _SUFFIX) as file:
                    self._header(member.name, file)
                    left = member.rows * member.row_bytes  # trailing bytes are not read
                    while left:
                        left -= scratch.write(_exactly(file, min(left, _BLOCK_BYTES)))
            scratch.flush()
            with self._reading():
                mapped = np.memmap(scratch, dtype=member.dtype, mode="r", shape=member.shape, order="F")
            for index in indices:
                yield np.array(mapped[index], order="C")

    def _header(self, name: str, file: IO[bytes]) -> Member:
        version = _npy.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ContractError("data_unreadable", f"array {name!r} has fields or an unknown .npy version {version}")
        read = _npy.read_array_header_1_0 if version == (1, 0) else _npy.read_array_header_2_0
        shape, fortran, dtype = read(file)
        if dtype.hasobject:
            raise ContractError(
                "data_unreadable", f"array {name!r} holds Python objects; save numbers of one shape and type"
            )
        if any(size < 0 for size in shape):
            raise ValueError(f"array {name!r} has the shape {list(shape)}")
        return Member(name, dtype, shape, bool(fortran) and len(shape) > 1)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except DAMAGED as error:
            raise ContractError(
                "data_unreadable", f"{self._path.name}: {why(error)}; save it with numpy.savez"
            ) from None


def _skip(file: IO[bytes], count: int) -> None:
    while count > 0:
        count -= len(_exactly(file, min(count, _BLOCK_BYTES)))


def _exactly(file: IO[bytes], count: int) -> bytes:
    data = file.read(count)
    if len(data) != count:
        raise EOFError
    return data
