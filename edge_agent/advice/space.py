"""The message about too little disk space. Pure."""

import os

SPARE_BYTES = 64 << 20
"""Free space that a model's files leave for everything else."""


def lacks_space(what: str, needed: int, free: int, where: str | os.PathLike[str]) -> str:
    """Return a sentence on ``what``, which needs more bytes in the folder ``where`` than are free there.

    It states the difference, since two nearly equal numbers look the same once rounded.
    """
    return f"{what} needs {_size(needed)} in {os.fspath(where)}, {_size(needed - free)} more than are free; free some"


def _size(count: int) -> str:
    megabytes = count / 1e6
    return f"{megabytes:.0f} MB" if megabytes >= 100 else f"{megabytes:.2g} MB"  # noqa: PLR2004  # all digits
