"""``seen.json``: what calibration has seen, for the verdict to hold the held-out windows against.

The calibrate stage leaves it. A job of an older agent has none; then nothing is said of it.
"""

from pathlib import Path

import msgspec

from edge_agent.errors import StageError
from edge_agent.strict import UNDECODABLE
from edge_agent.worker.data.split import Split

SEEN_FILE = "seen.json"


class Reach(msgspec.Struct, frozen=True):
    """How far the values of one tensor reach: lowest and highest of each channel, or of all of it together."""

    low: list[float]
    high: list[float]
    part_low: list[float]
    """The same of a twelfth of the windows, the median of all twelfths: where tails are long, much less."""
    part_high: list[float]
    axis: int | None = None
    """The axis of the channels; None: the tensor as a whole."""
    names: list[str] = []
    """Of the channels, where they are known."""

    @classmethod
    def of_all(cls, low: float, high: float) -> "Reach":
        """Of a tensor as a whole, of which no more is known."""
        return cls([low], [high], [low], [high])


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What there was in the calibration windows, and what float made of them and of the search windows."""

    classes: dict[Split, dict[int, int]] = {}
    """Set → class → windows to which float gives it; empty where the output has no classes."""
    inputs: dict[str, Reach] = {}
    """Input → its reach in the calibration windows; empty where no ranges were wanted."""


def write_seen(folder: Path, seen: Seen) -> None:
    """Leave it in the stage's folder."""
    (folder / SEEN_FILE).write_bytes(msgspec.json.encode(seen))


def read_seen(folder: Path) -> Seen:
    """What the calibrate stage left in ``folder``."""
    path = folder / SEEN_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Seen) if path.exists() else Seen()
    except (OSError, *UNDECODABLE) as error:
        raise StageError("stage_crashed", f"{path}: {error}") from None
