"""The verdict over several gates, and which of two refusals is told."""

from dataclasses import dataclass, replace
from typing import Self

from edge_agent.jobs.result import GateResult

_SAYS_LESS = ("", "latency_too_high", "latency_inconclusive", "too_noisy", "size_too_large", "no_gain")
"""Codes that say less of a model than what it gets wrong: they are of what int8 costs or gains, or there is none."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict over all gates that could be judged."""

    gates: tuple[GateResult, ...]
    code: str = ""
    message: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every gate passed."""
        return not self.code

    def refused(self, code: str, message: str) -> Self:
        """This verdict with a refusal for something that int8 gets wrong, unless it tells of such a thing already."""
        return replace(self, code=code, message=message) if self.code in _SAYS_LESS else self
