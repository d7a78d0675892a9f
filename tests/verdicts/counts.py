"""What the conformance set says of the verdict, counted."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum

from verdicts.case import ACCEPTED, Case, End, ended_right

from edge_agent.errors import CODES


class Finding(StrEnum):
    """How an end compares with the right one."""

    RIGHT = "right"
    FALSE_ACCEPT = "false accepts"
    FALSE_REFUSAL = "false refusals"
    SILENT = "accepted without a word"
    """It may be accepted, but something must be told that was not."""
    OTHER = "other wrong ends"
    """Refused for another reason, or a stage that failed."""


def compare(case: Case, end: End) -> Finding:
    """How ``end`` compares with the right end of ``case``."""
    if ended_right(case.right, end):
        return Finding.RIGHT
    if end.code == ACCEPTED:
        return Finding.SILENT if case.right.accepts else Finding.FALSE_ACCEPT
    refusal = CODES[end.code].status == "rejected"
    return Finding.FALSE_REFUSAL if refusal and case.right.codes == {ACCEPTED} else Finding.OTHER


def table(found: Sequence[tuple[Case, Finding]], *, by: str) -> Iterator[str]:
    """Lines of a Markdown table of counts; ``by``: the field of a case that makes its rows, in order of appearance."""
    yield f"| {by} | rows | " + " | ".join(list(Finding)[1:]) + " |"
    yield "|---" * (len(Finding) + 1) + "|"
    for name in dict.fromkeys(getattr(case, by) for case, _ in found):
        yield _line(name, [finding for case, finding in found if getattr(case, by) == name])
    yield _line("all", [finding for _, finding in found])


def _line(name: str, findings: Iterable[Finding]) -> str:
    counts = Counter(findings)
    numbers = [counts.total(), *(counts[finding] for finding in list(Finding)[1:])]
    return f"| {name} | " + " | ".join(map(str, numbers)) + " |"
