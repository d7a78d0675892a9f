"""What can be said of captured data: a stable code, a sentence, and whether it refuses them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from edge_agent.errors import CODES, Refusal


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about the data: a stable code, one sentence with channel and numbers, and whether it refuses them."""

    code: str
    message: str
    refuse: bool

    def __post_init__(self) -> None:
        if self.code not in CODES:
            raise KeyError(self.code)

    def as_dict(self) -> dict[str, Any]:
        """As it stands in the result object, under ``data.findings``."""
        return {"code": self.code, "message": self.message, "refuse": self.refuse}


def refuse(findings: Iterable[Finding]) -> None:
    """Raise ``Refusal`` for the first finding that refuses."""
    for finding in findings:
        if finding.refuse:
            raise Refusal(finding.code, finding.message)
