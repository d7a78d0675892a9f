"""Rows that end wrong today, by the reason. Each must fail: who mends the reason takes its rows out."""

from collections.abc import Mapping
from types import MappingProxyType

from verdicts.case import Case

KNOWN: Mapping[str, tuple[str, ...]] = MappingProxyType({})
"""Reason → names of rows."""


def why(case: Case) -> str | None:
    """Why ``case`` ends wrong; None: it must not."""
    return next((reason for reason, names in KNOWN.items() if case.name in names), None)
