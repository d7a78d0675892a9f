"""Reads small files of the kernel; a missing or unreadable file counts as unknown."""

from collections.abc import Iterator
from pathlib import Path


def text(path: Path) -> str:
    """Return the text of a file; empty: none."""
    try:
        return path.read_bytes().decode(errors="replace").strip("\0\n\t ")
    except OSError:
        return ""


def number(path: Path) -> int | None:
    """Return the whole number in a file; None: there is none."""
    try:
        return int(text(path))
    except ValueError:
        return None


def scaled(path: Path, divisor: int) -> float | None:
    """Return the number in a file divided by ``divisor``; None: there is none."""
    value = number(path)
    return None if value is None else value / divisor


def entries(directory: Path, prefix: str = "") -> Iterator[Path]:
    """Yield the numbered entries of a sysfs directory in numeric order."""
    try:
        found = [path for path in directory.iterdir() if path.name.removeprefix(prefix) != path.name or not prefix]
    except OSError:
        return
    yield from sorted(found, key=lambda path: (len(path.name), path.name))
