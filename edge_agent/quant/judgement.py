"""The verdict over several gates, and the choice between two reasons for a rejection."""

from dataclasses import dataclass, replace
from typing import Self

from edge_agent.jobs.result import GateResult

_SAYS_LESS = ("", "latency_too_high", "latency_inconclusive", "too_noisy", "size_too_large", "no_gain")
"""Codes that matter less than a wrong output, as they concern the cost or gain of int8; or no code at all."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict over all judged gates."""

    gates: tuple[GateResult, ...]
    code: str = ""
    message: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every gate passed."""
        return not self.code

    def refused(self, code: str, message: str) -> Self:
        """This verdict with a rejection for a wrong output, unless it already has such a rejection."""
        return replace(self, code=code, message=message) if self.code in _SAYS_LESS else self
