"""Findings about captured data."""

from collections.abc import Iterable
from dataclasses import dataclass

from msgspec.structs import replace

from edge_agent.errors import CODES, Refusal
from edge_agent.jobs.data_summary import Data, DataFinding


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding: a stable code, one sentence with channel and numbers, and whether it refuses the data."""

    code: str
    message: str
    refuse: bool

    def __post_init__(self) -> None:
        if self.code not in CODES:
            raise KeyError(self.code)


def refuse(findings: Iterable[Finding]) -> None:
    """Raise ``Refusal`` for the first finding that refuses."""
    for finding in findings:
        if finding.refuse:
            raise Refusal(finding.code, finding.message)


def with_findings(data: Data, findings: Iterable[Finding]) -> Data:
    """``data`` with its findings, each also listed as a warning."""
    found = [DataFinding(finding.code, finding.message, finding.refuse) for finding in findings]
    return replace(data, findings=found, warnings=[finding.message for finding in found])


def with_more_findings(data: Data, findings: Iterable[Finding]) -> Data:
    """``data`` with the findings of a later stage appended."""
    more = with_findings(data, findings)
    return replace(data, findings=[*data.findings, *more.findings], warnings=[*data.warnings, *more.warnings])
