"""The ready-made files, one folder per program: every file that is not Python."""

from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable


def ready_made() -> dict[str, bytes]:
    """``program/name`` → content, in order."""
    programs = (folder for folder in files(__package__).iterdir() if folder.is_dir() and folder.name != "__pycache__")
    return dict(sorted(found for folder in programs for found in _files(folder)))


def _files(folder: Traversable) -> Iterator[tuple[str, bytes]]:
    for one in folder.iterdir():
        if one.is_file() and not one.name.endswith(".py"):
            yield f"{folder.name}/{one.name}", one.read_bytes()
