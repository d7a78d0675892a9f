"""The settings and status that daemon, sensor process and readers share about a sensor with its own process. Pure.

Keys that every ``[sources.NAME]`` may have, whatever its kind:

    keep_windows = 1000      # stored segments of the sensor's data over hours and days; 0: none
    keep_seconds = 5         # length of a segment
    keep_mb_per_day = 256    # write budget, because an SD card wears out
    share = true             # own process without stored data: applications and jobs read in parallel

With ``keep_windows`` or ``share``, the daemon runs ``python -m edge_agent.sensing`` for that sensor, and only this
process opens it. Its files are in ``state_dir/sources/NAME/``: ``socket`` for readers, ``kept/`` for stored segments.
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
"""Default length of a segment of numbers. It covers the windows of most models (one second of sound, two or three of
movement) with the margin for resampling. It is short, so that the space holds segments of many different times."""
MOST_WINDOWS = 20_000
"""Far more than sets need. Metadata of each segment is in memory and is scanned for each new one."""
_RECORDING = "replay"


class Keeping(msgspec.Struct, frozen=True, kw_only=True):
    """The common keys of ``[sources.NAME]``."""

    keep_windows: Annotated[int, msgspec.Meta(ge=0, le=MOST_WINDOWS)] = 0
    keep_seconds: Annotated[float, msgspec.Meta(gt=0, le=3600)] | None = None
    """None: 5 seconds of numbers, or one image."""
    keep_mb_per_day: Annotated[float, msgspec.Meta(gt=0)] = 256.0
    share: bool = False

    def __post_init__(self) -> None:
        if not self.keep_windows and self.keep_seconds is not None:
            raise ValueError("keep_seconds is the length of a stored segment; add keep_windows, or leave it out")
        if self.keep_windows == 1:
            raise ValueError("keep_windows = 1 leaves nothing to compare with; set 0, or a few hundred")

    @property
    def shared(self) -> bool:
        """Whether the sensor has its own process."""
        return self.share or self.keep_windows > 0

    def stretch_samples(self, rate_hz: float, *, pictures: bool) -> int:
        """Samples in one stored segment of a source; at least 1."""
        if self.keep_seconds is None and pictures:
            return 1  # an image is a complete window, and its neighbours are nearly equal
        return max(1, round((self.keep_seconds or NUMBERS_SECONDS) * rate_hz))


COMMON_KEYS = frozenset(Keeping.__struct_fields__)


def split_common_keys(name: str, table: Mapping[str, Any]) -> tuple[Keeping, dict[str, Any]]:
    """The common keys of ``[sources.NAME]``, and the kind's own keys; raises ``ConfigError`` (usage)."""
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
    """The folder of a shared source."""
    return state_dir / "sources" / name


class SourceState(msgspec.Struct, frozen=True, kw_only=True):
    """The status of a sensor process, sent as JSON lines; the newest one counts.

    Attributes:
        state: ``open``: samples arrive; ``silent``: open, but no samples arrive; ``waiting``: it cannot be opened.
        code: why it waits, or why segments cannot be written; empty: no fault.
        message: one sentence about ``code``; may be empty.
        rate_hz: measured samples per second; None: not known yet.
        samples: samples received since the process started.
        gaps: interruptions of the stream.
        malformed: samples that could not be parsed.
        late: samples lost because this process was too slow.
        subscribers: current readers.
        dropped: samples that all subscribers together lost because they were too slow.
        wanted: segments that the settings ask for.
        kept: segments stored.
        seen: segments that the stored ones were chosen from.
        left_out: segments never considered because they held NaN or Inf.
        thinned: segments skipped at random to meet the write budget, which causes no bias.
        over_budget: segments chosen for search and verdict that exceeded the budget: their time is missing.
        deferred: the same for the calibration part, which takes new data later.
        unwritten: segments not considered because a write failed.
        hours: hours since the first segment was considered.
        confined: restrictions by Landlock and seccomp, as
            :func:`edge_agent.process.confinement.confine_sensor` reports them; None: not known yet.
        written_mb_last_day: megabytes written for segments in the last 24 hours of this process.
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
    """The configuration that a sensor process reads from its standard input."""

    name: str
    folder: str
    table: dict[str, Any]
    """``[sources.NAME]`` without the common keys; an mqtt source includes its broker."""
    keeping: Keeping
