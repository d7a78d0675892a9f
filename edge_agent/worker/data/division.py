"""``division.json``: which rows of an ``.npz`` the calibrate stage has given to calibration and to search.

Capture divides rows before anything is looked at. What float makes of a row is known only where float runs, so the
calibrate stage divides the rows of these two sets anew. It can name no other row: the held-out set stays as capture
drew it, and nothing of it was looked at.
"""

from pathlib import Path

import msgspec

from edge_agent.errors import StageError
from edge_agent.strict import UNDECODABLE

DIVISION_FILE = "division.json"


class Division(msgspec.Struct, frozen=True):
    """Numbers of rows, ascending."""

    calibration: list[int]
    search: list[int]

    def same_rows(self, calibration: list[int], search: list[int]) -> bool:
        """Whether it divides the rows of these two sets, into sets as large."""
        sizes = len(self.calibration) == len(calibration) and len(self.search) == len(search)
        return sizes and {*self.calibration, *self.search} == {*calibration, *search}


def write_division(folder: Path, division: Division) -> None:
    """Leave it in the stage's folder."""
    (folder / DIVISION_FILE).write_bytes(msgspec.json.encode(division))


def read_division(folder: Path) -> Division | None:
    """What the calibrate stage left in ``folder``; None: capture's division holds."""
    path = folder / DIVISION_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Division) if path.exists() else None
    except (OSError, *UNDECODABLE) as error:
        raise StageError("stage_crashed", f"{path}: {error}") from None
