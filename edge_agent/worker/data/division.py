"""``division.json``: the rows of an ``.npz`` that the calibrate stage assigned to calibration and to search.

Capture divides the rows before it sees any data. Float's answers are known only once float runs, so the calibrate stage
divides the rows of these two sets again. It can use no other rows: the held-out set stays as capture drew it, unseen.
"""

from pathlib import Path

import msgspec

from edge_agent.errors import StageError
from edge_agent.strict import UNDECODABLE

DIVISION_FILE = "division.json"


class Division(msgspec.Struct, frozen=True):
    """Row numbers of both sets, ascending."""

    calibration: list[int]
    search: list[int]

    def same_rows(self, calibration: list[int], search: list[int]) -> bool:
        """Whether this division covers exactly the rows of these two sets, and keeps their sizes."""
        sizes = len(self.calibration) == len(calibration) and len(self.search) == len(search)
        return sizes and {*self.calibration, *self.search} == {*calibration, *search}


def write_division(folder: Path, division: Division) -> None:
    """Write ``division`` into the stage's folder."""
    (folder / DIVISION_FILE).write_bytes(msgspec.json.encode(division))


def read_division(folder: Path) -> Division | None:
    """The division that the calibrate stage left in ``folder``; None: capture's division holds."""
    path = folder / DIVISION_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Division) if path.exists() else None
    except (OSError, *UNDECODABLE) as error:
        raise StageError("stage_crashed", f"{path}: {error}") from None
