"""A row of the fleet's table: one model on one device, with its urgency for a person. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class Concern(IntEnum):
    """The urgency of a row; smaller values are more urgent."""

    FAILED = 0
    WORKING = 1
    AILING = 2
    """Throttled, with a stale release, or with a refused order."""
    REJECTED = 3
    OFFLINE = 4
    NONE = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One model on one device; a device without models has one row with an empty name. Unknown numbers are None.

    Attributes:
        progress: progress of the whole job, 0 to 1; None: no job is running.
        latency_ms: current median of serving, or otherwise the one measured for the release's verdict.
        seen: time of the device's last message, in seconds since the epoch.
        outdated: whether another device runs a newer version of the model.
        quiet: whether the device is offline, or its health samples have stopped.
    """

    device: str
    online: bool
    board: str = ""
    groups: tuple[str, ...] = ()
    model: str = ""
    version: int = 0
    stage: str = ""
    status: str = ""
    code: str = ""
    message: str = ""
    progress: float | None = None
    latency_ms: float | None = None
    float_ms: float | None = None
    agreement: float | None = None
    temperature_c: float | None = None
    throttled: bool = False
    stale: bool = False
    refused: str = ""
    seen: float | None = None
    outdated: bool = False
    quiet: bool = False

    @property
    def latency_ratio(self) -> float | None:
        """The current duration of an inference over float's duration on this device."""
        return self.latency_ms / self.float_ms if self.latency_ms is not None and self.float_ms else None

    @property
    def concern(self) -> Concern:
        """The urgency of this row."""
        if self.status == "failed":
            return Concern.FAILED
        if not self.online:
            return Concern.OFFLINE
        if self.progress is not None:
            return Concern.WORKING
        if self.throttled or self.stale or self.refused:
            return Concern.AILING
        return Concern.REJECTED if self.status == "rejected" else Concern.NONE

    @property
    def state(self) -> str:
        """The state in one word, or with a job's code."""
        if self.progress is not None:
            return self.stage or self.status
        if self.refused:
            return f"refused {self.refused}"
        return self.status if self.code in ("", "accepted", self.status) else f"{self.status} {self.code}"

    def has(self, words: Iterable[str]) -> bool:
        """Whether each of ``words``, in small letters, occurs somewhere in this row."""
        online = "online" if self.online else "offline"
        ailments = ("throttled" * self.throttled, "stale" * self.stale)
        cells = (self.device, self.board, *self.groups, self.model, self.state, online, *ailments)
        text = "\n".join(cells).lower()
        return all(word in text for word in words)
