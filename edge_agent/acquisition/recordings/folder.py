"""Which files of a folder are recordings, by their names alone: no file is opened."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from pathlib import Path

from edge_agent.acquisition.recordings.formats import PICTURES

_MOST_FILES = 100_000
_SHOWN = 3


class Kind(Enum):
    """What a file holds, in words for a person."""

    PICTURES = "pictures"
    SOUND = "sounds"
    TABLE = "tables"
    ARRAYS = "arrays"


_SUFFIXES = {
    **dict.fromkeys(PICTURES, Kind.PICTURES),
    ".wav": Kind.SOUND,
    **dict.fromkeys((".csv", ".tsv", ".txt", ".csv.gz"), Kind.TABLE),
    **dict.fromkeys((".npz", ".npy"), Kind.ARRAYS),
}
READABLE = ".png, .jpg and other pictures, .wav, .csv and other tables, .npz and .npy"


@dataclass(frozen=True, slots=True)
class Listed:
    """The files of a folder, sorted by name.

    Attributes:
        of: kind → its files.
        others: those of no kind that is read.
    """

    of: dict[Kind, list[Path]]
    others: list[Path]

    def most(self, kinds: Iterable[Kind]) -> Kind | None:
        """That of ``kinds`` with the most files, of several the first named; None: there is none of them."""
        present = [kind for kind in kinds if self.of.get(kind)]
        return max(present, key=lambda kind: len(self.of[kind]), default=None)

    def left_out(self, used: Kind) -> str:
        """What is there beside ``used``, in words; empty: nothing."""
        parts = [_counted(len(files), kind) for kind, files in self.of.items() if kind is not used and files]
        if self.others:
            suffixes = Counter(path.suffix or path.name for path in self.others)
            named = ", ".join(name for name, _ in suffixes.most_common(_SHOWN))
            parts.append(f"{len(self.others)} of a kind that is not read ({named})")
        return ", ".join(parts)


def list_recordings(place: Path) -> Listed:
    """What lies in a folder and below, or the one file that ``place`` is; hidden files are left out.

    Raises:
        OSError: the folder cannot be read.
    """
    found = Listed({kind: [] for kind in Kind}, [])
    if place.is_dir():
        next(place.iterdir(), None)  # a folder that may not be read is no empty one
    paths = sorted(islice(place.rglob("*"), _MOST_FILES)) if place.is_dir() else [place]
    for path in paths:
        below = path.relative_to(place).parts if path != place else (path.name,)
        if any(part.startswith(".") for part in below) or not path.is_file():
            continue
        kind = _kind(path.name.lower())
        (found.others if kind is None else found.of[kind]).append(path)
    return found


def _counted(number: int, kind: Kind) -> str:
    return f"{number} {kind.value if number > 1 else kind.value.removesuffix('s')}"


def _kind(name: str) -> Kind | None:
    return next((kind for suffix, kind in _SUFFIXES.items() if name.endswith(suffix)), None)
