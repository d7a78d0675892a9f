"""Counts how many of float's boxes int8 keeps over a whole set, and decides whether that is enough.

Agreement counts windows. In most of them a detector may see nothing, and int8 that has lost every box agrees there. So
boxes are counted, too. Recall is the share of float's boxes, at float's threshold, that int8 finds. Precision is the
share of int8's boxes that float has. Boxes of one window are lost together, so the bounds count each window in which
float (or int8) sees something as one observation.
"""

from collections.abc import Mapping

from edge_agent.jobs.measured_outputs import ClassBoxes, DetectionsKept
from edge_agent.quant.bounds import agreement_lower, upper_bound
from edge_agent.quant.detection.match import Counts
from edge_agent.quant.findings import percent
from edge_agent.quant.judgement import Judgement

LEAST = 0.8
"""Minimum recall of float's boxes by int8, and minimum precision of int8's boxes."""
ENOUGH = 10
"""From this many boxes on the share itself decides; with fewer, only a loss that chance does not explain."""


class KeptBoxes:
    """Adds up the counts of all windows."""

    def __init__(self) -> None:
        self.total = Counts()
        self._by_class: dict[int, Counts] = {}
        self._seen = self._claimed = 0

    def add(self, by_class: Mapping[int, Counts]) -> None:
        """Add one window's counts by class."""
        window = sum(by_class.values(), Counts())
        self.total += window
        self._seen += window.reference > 0
        self._claimed += window.target > 0
        for number, counts in by_class.items():
            self._by_class[number] = self._by_class.get(number, Counts()) + counts

    def summary(self) -> DetectionsKept | None:
        """The counts for the report; None without any box, as for a model that is no detector."""
        total = self.total
        if not total.reference and not total.target:
            return None
        return DetectionsKept(
            reference=total.reference,
            found=total.found,
            recall=_share(total.found, total.reference),
            recall_lower=_proved(total.found, total.reference, self._seen),
            target=total.target,
            confirmed=total.confirmed,
            precision=_share(total.confirmed, total.target),
            precision_lower=_proved(total.confirmed, total.target, self._claimed),
            classes=[
                ClassBoxes(number, one.reference, one.found, one.target, one.confirmed)
                for number, one in sorted(self._by_class.items())
            ],
        )


def with_detections(judgement: Judgement, kept: DetectionsKept | None) -> Judgement:
    """``judgement``, or ``detections_lost`` if it is no worse so far and too many boxes are lost or made up."""
    if kept is None:
        return judgement
    if _too_few(kept.found, kept.reference):
        text = f"int8 finds {kept.found} of the {kept.reference} boxes that float finds"
    elif _too_few(kept.confirmed, kept.target):
        text = f"float has {kept.confirmed} of the {kept.target} boxes that int8 finds"
    else:
        return judgement
    return judgement.refused("detections_lost", f"{text}; at least {percent(LEAST)} are needed")


def _too_few(part: int, whole: int) -> bool:
    return whole > 0 and part / whole < LEAST and (whole >= ENOUGH or upper_bound(part, whole) < LEAST)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _proved(part: int, whole: int, windows: int) -> float | None:
    return agreement_lower(windows * (1 - part / whole), windows) if whole else None
