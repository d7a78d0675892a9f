"""Rows that end wrong today, by the reason. Each must fail: who mends the reason takes its rows out."""

from collections.abc import Mapping
from types import MappingProxyType

from verdicts.case import Case

KNOWN: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "decisions whose scale is a hundredth of the others' lie near the threshold by that alone": (
            "binary: small group dead",
        ),
        "the recall of each class has no gate": (
            "detection: rare one lost",
            "detection: 5 of 5 lost",
            "detection: 4 of 15 lost",
            "detection_head: rare one lost",
            "classes: small group dead",
        ),
        "the recall of each class has no gate: a mask's class, a symbol of a sequence": (
            "mask: rare one lost",
            "sequence: rare one lost",
            "sequence: rare label lost, held-out",
            "sequence: rare label lost, labelled set",
            "sequence: small group dead",
        ),
        "a few windows beyond what calibration has seen are not told of": (
            "embedding: rare one lost",
            "raw: rare one lost",
        ),
        "a channel that is constant but for rounding is judged by its rounding, or not told of": (
            "raw: a group that is constant but for rounding",
            "embedding: a group that is constant but for rounding",
            "regression: a group that is constant but for rounding",
            "regression: float constant but for rounding",
        ),
        "only labels of classes and binary are held against what float has right": (
            "anomaly: labelled set unfit",
            "anomaly: held-out labels unfit",
            "regression: labelled set unfit",
            "regression: held-out labels unfit",
            "sequence: labelled set unfit",
            "sequence: held-out labels unfit",
        ),
    }
)
"""Reason → names of rows."""


def why(case: Case) -> str | None:
    """Why ``case`` ends wrong; None: it must not."""
    return next((reason for reason, names in KNOWN.items() if case.name in names), None)
