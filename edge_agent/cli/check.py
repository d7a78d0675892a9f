"""One thing that ``edge-agent doctor`` looked at."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Check:
    """What was found; ``remedy`` is empty where nothing is to be done."""

    name: str
    level: Level
    detail: str
    remedy: str = ""
