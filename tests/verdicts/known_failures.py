"""Rows that end wrong today, by the reason. Each must fail: who mends the reason takes its rows out."""

from collections.abc import Mapping
from types import MappingProxyType

from verdicts.case import Case

NO_KIND = "detection heads before suppression have no kind of output"
KNOWN: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "only the first or named output is judged": (
            "classes: another output dead",
            "binary: another output dead",
            "regression: another output dead",
            "embedding: another output dead",
            "raw: another output dead",
            "anomaly: another output dead",
            "detection: another output dead",
            "mask: another output dead",
            "sequence: another output dead",
            "classes: another output turned round",
            "classes: another output NaN",
            "classes: the first output dead, the second named",
        ),
        "one relative error over channels of unlike scale sees the large ones only": (
            "embedding: small group dead",
            "raw: small group dead",
            "raw: one scale for both groups",
            "embedding: one scale for both groups",
            "raw: boxes beside scores, raw",
            "raw: boxes beside scores, no kind",
        ),
        "the recall of each class has no gate": (
            "classes: rare one lost",
            "binary: rare one lost",
            "anomaly: rare one lost",
            "detection: rare one lost",
            "classes: 5 of 5 lost",
            "classes: 4 of 15 lost",
            "binary: 5 of 5 lost",
            "binary: 4 of 15 lost",
            "anomaly: 5 of 5 lost",
            "anomaly: 4 of 15 lost",
            "detection: 5 of 5 lost",
            "detection: 4 of 15 lost",
            "classes: rare label lost, held-out",
            "classes: rare label lost, labelled set",
            "binary: rare label lost, held-out",
            "binary: rare label lost, labelled set",
            "anomaly: rare label lost, held-out",
            "anomaly: rare label lost, labelled set",
            "classes: small group dead",
            "anomaly: small group dead",
        ),
        "the recall of each class has no gate: a mask's class, a symbol of a sequence": (
            "mask: rare one lost",
            "sequence: rare one lost",
            "sequence: rare label lost, held-out",
            "sequence: rare label lost, labelled set",
            "sequence: small group dead",
        ),
        "a value exactly at the threshold counts as agreement": (
            "classes: all scores equal, mostly class 0",
            "binary: rare one at the threshold",
            "anomaly: rare one at the threshold",
            "binary: small group dead",
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
        "windows where int8 is float to the bit stand in for disagreements by their place, all in one recording": (
            "classes: identical, in twelve recordings",
        ),
    }
)
"""Reason → names of rows."""
KINDS_TO_COME: Mapping[str, str] = MappingProxyType({"detection_head": NO_KIND})
"""Kinds that the manifest does not know yet → the reason."""


def why(case: Case) -> str | None:
    """Why ``case`` ends wrong; None: it must not."""
    if case.kind in KINDS_TO_COME:
        return KINDS_TO_COME[case.kind]
    return next((reason for reason, names in KNOWN.items() if case.name in names), None)
