"""What daemon, source process and readers agree on about a sensor that is read by a process of its own. Pure.

Keys that every ``[sources.NAME]`` may have, whatever its kind:

    keep_windows = 1000      # keep so many stretches of what the sensor has seen over hours and days; 0: none
    keep_seconds = 5         # how long a stretch is
    keep_mb_per_day = 256    # an SD card wears out: at most so many are written
    share = true             # a process of its own although nothing is kept: applications and jobs read side by side

Where one of the first and the last says so, the daemon runs ``python -m edge_agent.sensing`` for that sensor, its only
opener. What belongs to it lies in ``state_dir/sources/NAME/``: ``socket`` to read from, ``kept/`` what is kept.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from edge_agent.errors import ConfigError, WireError
from edge_agent.strict import strict
from edge_agent.wire.topics import check_name

KEPT_FOLDER = "kept"
SOCKET_NAME = "socket"
NUMBERS_SECONDS = 5.0
"""Longer than a window of most models (one second of sound, two or three of movement) and what resampling takes beyond;
short, so that a space holds stretches of many different times rather than few long ones."""
MOST_WINDOWS = 20_000
"""Far more than sets take. What is known beside them is in memory, and gone through whenever one is taken."""
_RECORDING = "replay"


class Keeping(msgspec.Struct, frozen=True, kw_only=True):
    """The keys."""

    keep_windows: Annotated[int, msgspec.Meta(ge=0, le=MOST_WINDOWS)] = 0
    keep_seconds: Annotated[float, msgspec.Meta(gt=0, le=3600)] | None = None
    """None: 5 seconds of numbers, or one picture."""
    keep_mb_per_day: Annotated[float, msgspec.Meta(gt=0)] = 256.0
    share: bool = False

    def __post_init__(self) -> None:
        if not self.keep_windows and self.keep_seconds is not None:
            raise ValueError("keep_seconds says how long what is kept is; add keep_windows, or leave it out")
        if self.keep_windows == 1:
            raise ValueError("keep_windows = 1 leaves nothing to compare with; set 0, or some hundreds")

    @property
    def shared(self) -> bool:
        """Whether a process of its own reads the sensor."""
        return self.share or self.keep_windows > 0

    def stretch_samples(self, rate_hz: float, *, pictures: bool) -> int:
        """Samples in one kept stretch of a source; at least 1."""
        if self.keep_seconds is None and pictures:
            return 1  # a picture is a window by itself, and its neighbours look alike
        return max(1, round((self.keep_seconds or NUMBERS_SECONDS) * rate_hz))


COMMON_KEYS = frozenset(Keeping.__struct_fields__)


def split_common_keys(name: str, table: Mapping[str, Any]) -> tuple[Keeping, dict[str, Any]]:
    """The common keys of ``[sources.NAME]``, and what is left for its kind; raises ``ConfigError`` (usage)."""
    where = f"[sources.{name}]"
    own = {key: value for key, value in table.items() if key not in COMMON_KEYS}
    keeping = strict({key: value for key, value in table.items() if key in COMMON_KEYS}, Keeping, where)
    if keeping.shared:
        if table.get("kind") == _RECORDING:
            raise ConfigError(
                "usage", f"{where}: a recording has no process of its own; leave out keep_windows and share"
            )
        try:
            check_name(name, "source")
        except WireError as error:
            raise ConfigError("usage", f"{where}: {error.message}") from None
    return keeping, own


def source_folder(state_dir: Path, name: str) -> Path:
    """Where everything of a shared source lies."""
    return state_dir / "sources" / name


class SourceState(msgspec.Struct, frozen=True, kw_only=True):
    """What a source process says of itself, one JSON line at a time; the newest counts.

    Attributes:
        state: ``open``: samples come; ``silent``: open, but nothing comes; ``waiting``: it cannot be opened.
        code: of why it waits, or of why what is kept cannot be written; empty: all is well.
        message: one sentence, if there is something to say.
        rate_hz: samples that come a second, as measured; None: not known yet.
        samples: that came since the process started.
        gaps: how often the stream was interrupted.
        malformed: samples that were not understood.
        late: samples lost because this process was too slow.
        subscribers: who reads now.
        dropped: samples that subscribers have lost, together, because they were too slow.
        wanted: stretches that shall be kept.
        kept: stretches that are.
        seen: stretches that they were chosen from.
        left_out: stretches that were not even considered because they held NaN or Inf.
        thinned: stretches left out at random for the write budget's sake, which biases nothing.
        over_budget: stretches chosen for search and verdict that the budget had no room for: their time is missing.
        deferred: the same of the calibration part, where what is new comes in later.
        unwritten: stretches that were not considered because the disk refused.
        hours: since the first of them was looked at.
        confined: what Landlock and seccomp hold the process to, as
            :func:`edge_agent.process.confinement.confine_sensor` says; None: not known yet.
        written_mb_last_day: megabytes that keeping them has written in the last 24 hours of this process.
    """

    state: Literal["open", "silent", "waiting"] = "waiting"
    code: str = ""
    message: str = ""
    rate_hz: float | None = None
    samples: int = 0
    gaps: int = 0
    malformed: int = 0
    late: int = 0
    subscribers: int = 0
    dropped: int = 0
    wanted: int = 0
    kept: int = 0
    seen: int = 0
    left_out: int = 0
    thinned: int = 0
    over_budget: int = 0
    deferred: int = 0
    unwritten: int = 0
    hours: float = 0.0
    written_mb_last_day: float = 0.0
    confined: tuple[str, ...] | None = None


class SensorProcessConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a source process is told on its standard input."""

    name: str
    folder: str
    table: dict[str, Any]
    """``[sources.NAME]`` without the common keys; of kind mqtt with its broker."""
    keeping: Keeping
