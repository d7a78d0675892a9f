"""The result of one check of ``edge-agent doctor``."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Check:
    """A finding; ``remedy`` is empty where nothing is to be done."""

    name: str
    level: Level
    detail: str
    remedy: str = ""
