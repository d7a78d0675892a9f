"""The number of rows of a labelled set, from the header of its labels, without the library that reads arrays."""

import ast
import zipfile
from pathlib import Path

from edge_agent.errors import ConfigError, ContractError
from edge_agent.jobs.archives import DAMAGED

_MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 10_000


def check_archive(path: Path) -> None:
    """Raise ``ContractError`` (data_unreadable) if a labelled set is no archive of arrays, as every device would."""
    try:
        sound = zipfile.is_zipfile(path)
    except OSError as error:
        raise ConfigError("usage", f"{path}: {error.strerror}") from None
    if not sound:
        raise ContractError("data_unreadable", f"{path} is no .npz file; save it with numpy.savez")


def labelled_rows(path: Path) -> int | None:
    """The rows of the array ``labels`` of an ``.npz``; None if it has none that can be read: a device reports why."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open("labels.npy") as member:
            magic, version, _ = member.read(6), member.read(1), member.read(1)
            length = int.from_bytes(member.read(2 if version == b"\x01" else 4), "little")
            if magic != _MAGIC or length > _LONGEST_HEADER:
                return None
            shape = ast.literal_eval(member.read(length).decode("latin-1"))["shape"]
            return int(shape[0])
    except (*DAMAGED, TypeError, LookupError, MemoryError):
        return None
