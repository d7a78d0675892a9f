"""What to tell who has too little space on a disk. Pure."""

import os


def lacks_space(what: str, needed: int, free: int, where: str | os.PathLike[str]) -> str:
    """A sentence on ``what``, which needs more bytes in the folder ``where`` than are free there.

    The difference is told, as two numbers that are nearly the same look the same when they are rounded.
    """
    return f"{what} needs {_size(needed)} in {os.fspath(where)}, {_size(needed - free)} more than are free; free some"


def _size(count: int) -> str:
    megabytes = count / 1e6
    return f"{megabytes:.0f} MB" if megabytes >= 100 else f"{megabytes:.2g} MB"  # noqa: PLR2004  # in two digits or all
