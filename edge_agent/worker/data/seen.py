"""``seen.json``: the reach and the classes of the calibration data, which the verdict compares with the held-out ones.

The calibrate stage leaves this file. A job of an older agent has none; then no comparison is reported.
"""

from pathlib import Path

import msgspec

from edge_agent.errors import StageError
from edge_agent.strict import UNDECODABLE
from edge_agent.worker.data.split import Split

SEEN_FILE = "seen.json"


class Reach(msgspec.Struct, frozen=True):
    """The reach of one tensor: minimum and maximum of each channel, or of the whole tensor."""

    low: list[float]
    high: list[float]
    part_low: list[float]
    """The minimum of a twelfth of the windows, the median of all twelfths: with long tails, much less extreme."""
    part_high: list[float]
    axis: int | None = None
    """The axis of the channels; None: the tensor as a whole."""
    names: list[str] = []
    """Names of the channels, if they are known."""

    @classmethod
    def of_all(cls, low: float, high: float) -> "Reach":
        """The reach of a tensor as a whole, with only its extremes known."""
        return cls([low], [high], [low], [high])


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """The reach of the calibration windows, and float's classes for calibration and search windows."""

    classes: dict[Split, dict[int, int]] = {}
    """Set → class → number of windows for which float predicts it; empty if the output has no classes."""
    inputs: dict[str, Reach] = {}
    """Input → its reach in the calibration windows; empty if no ranges were needed."""


def write_seen(folder: Path, seen: Seen) -> None:
    """Write ``seen`` into the stage's folder."""
    (folder / SEEN_FILE).write_bytes(msgspec.json.encode(seen))


def read_seen(folder: Path) -> Seen:
    """The content of ``seen.json`` that the calibrate stage left in ``folder``; empty if there is none."""
    path = folder / SEEN_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Seen) if path.exists() else Seen()
    except (OSError, *UNDECODABLE) as error:
        raise StageError("stage_crashed", f"{path}: {error}") from None
