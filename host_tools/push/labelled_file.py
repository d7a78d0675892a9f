"""How many rows a labelled set has, by the header of its labels, without the library that reads arrays."""

import ast
import zipfile
from pathlib import Path

from edge_agent.jobs.archives import DAMAGED

_MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 10_000


def labelled_rows(path: Path) -> int | None:
    """The rows of the array ``labels`` of an ``.npz``; None where the file does not tell: a device says why."""
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
