"""Reads what the kernel says in small files; whatever is not there, or not to be read, is unknown."""

from collections.abc import Iterator
from pathlib import Path


def text(path: Path) -> str:
    """What a file says; empty: nothing."""
    try:
        return path.read_bytes().decode(errors="replace").strip("\0\n\t ")
    except OSError:
        return ""


def number(path: Path) -> int | None:
    """The whole number in a file; None: there is none."""
    try:
        return int(text(path))
    except ValueError:
        return None


def scaled(path: Path, divisor: int) -> float | None:
    """The number in a file over ``divisor``; None: there is none."""
    value = number(path)
    return None if value is None else value / divisor


def entries(directory: Path, prefix: str = "") -> Iterator[Path]:
    """The numbered entries of a sysfs directory, in their order."""
    try:
        found = [path for path in directory.iterdir() if path.name.removeprefix(prefix) != path.name or not prefix]
    except OSError:
        return
    yield from sorted(found, key=lambda path: (len(path.name), path.name))
