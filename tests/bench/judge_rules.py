"""Rules that accept or refuse int8 by what a draw of rows shows, and how often they err. Pure.

Of each candidate every row is compared with float once; a rule then sees only the rows of a draw, and the truth is the
agreement on all the others. A *false accept*: it accepts where the truth is below the gate of agreement. A *false
refusal*: it refuses, as it is about agreement, where the truth is at 1 % disagreement or better. What lies between is
nobody's error, and a refusal for another reason (a class is lost, boxes are, the error is too loud) is counted apart.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from types import MappingProxyType
from typing import Any, Self

import numpy as np
from bench.judge_draws import Draw, Numbers
from numpy.typing import NDArray

from edge_agent.quant.bounds import agreement_lower
from edge_agent.quant.dependence import design_effect
from edge_agent.quant.detection.kept import KeptBoxes, with_detections
from edge_agent.quant.detection.match import Counts
from edge_agent.quant.findings import Measured
from edge_agent.quant.gates import evaluate_heldout
from edge_agent.quant.limits import MIN_AGREEMENT
from edge_agent.wire.manifest import Gates, OutputKind

GOOD = 0.99
NNCF_MAX_DROP = 0.01
LEAST_COSINE = 0.99
GATES = Gates(max_latency_ratio=0, max_size_ratio=0)
ABOUT_AGREEMENT = frozenset({"agreement_too_low", "too_few_windows", "refused"})
"""Codes of refusals that are false where int8 agrees; the last one is of rules that know no codes."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One candidate against float, row by row.

    Attributes:
        kind: of the output.
        agreed: whether the row agrees.
        nearness: how near the row came to a disagreement.
        cosines: of both outputs.
        errors: [n, G], the squared difference, summed over each group of channels that is judged apart.
        signals: [n, G], float's own square, summed.
        classes: the class that float gives each row; -1: none. None: the kind has no classes.
        boxes: of a detector, what became of each row's boxes.
        correct: ``[n, 2]``, float and int8 right; None without labels.
        groups: the recording of each row, in order of time; None: rows are independent.
    """

    kind: OutputKind
    agreed: NDArray[np.bool_]
    nearness: Floats
    cosines: Floats
    errors: Floats
    signals: Floats
    classes: Numbers | None = None
    boxes: list[dict[int, Counts]] | None = None
    correct: NDArray[np.bool_] | None = None
    groups: Numbers | None = None

    def worst_sqnr(self, rows: Numbers) -> float | None:
        """SQNR over these rows, of the worst group of channels."""
        errors, signals = self.errors[rows].sum(axis=0), self.signals[rows].sum(axis=0)
        known = (errors > 0) & (signals > 0)
        return float(10.0 * np.log10(signals[known] / errors[known]).min()) if known.any() else None

    def by_class(self, rows: Numbers) -> Mapping[Any, tuple[int, int]]:
        """Class that float gives → rows of it, and those of them that agree."""
        if self.classes is None:
            return {}
        given, agreed = self.classes[rows], self.agreed[rows]
        return {
            int(one): (int((given == one).sum()), int(agreed[given == one].sum()))
            for one in np.unique(given[given >= 0])
        }


@dataclass(frozen=True)
class Seen:
    """What a rule sees: one candidate on the rows of one draw."""

    one: Compared
    drawn: Draw

    @cached_property
    def agreed(self) -> NDArray[np.bool_]:
        """Whether each drawn row agrees."""
        return self.one.agreed[self.drawn.rows]

    @property
    def wrong(self) -> int:
        """Drawn rows that disagree."""
        return int((~self.agreed).sum())

    @cached_property
    def effect(self) -> float:
        """How many of the drawn windows count as one."""
        drawn = self.drawn
        groups = None if drawn.groups is None else drawn.groups.tolist()
        nearness = self.one.nearness[drawn.rows].tolist()
        return design_effect((~self.agreed).tolist(), nearness, groups, in_time=drawn.in_time)

    @cached_property
    def lower(self) -> float:
        """The bound of the agreement."""
        return _proved(self.wrong / self.effect, len(self.agreed) / self.effect)

    @cached_property
    def truth(self) -> float:
        """The agreement on all rows that were not drawn."""
        everywhere = self.one.agreed
        return float((everywhere.sum() - self.agreed.sum()) / (len(everywhere) - len(self.agreed)))


Rule = Callable[[Seen], str]
"""Why it refuses; empty if it accepts."""


def ours(seen: Seen) -> str:
    """The verdict with its default gates."""
    one, rows = seen.one, seen.drawn.rows
    measured = Measured(
        windows=len(rows),
        windows_effective=len(rows) / seen.effect,
        disagreements=seen.wrong,
        sqnr_db=one.worst_sqnr(rows),
        classes=one.by_class(rows),
    )
    judgement = evaluate_heldout(GATES, one.kind, measured)
    if one.boxes is not None:
        kept = KeptBoxes()
        for row in rows:
            kept.add(one.boxes[row])
        judgement = with_detections(judgement, kept.summary())
    return judgement.code


def counted_only(seen: Seen) -> str:
    """The exact bound of the agreement as if every window were independent."""
    return _unless(_proved(seen.wrong, len(seen.agreed)) >= MIN_AGREEMENT)


def point_estimate(seen: Seen) -> str:
    """The share that agrees, as if it were the truth."""
    return _unless(bool(seen.agreed.mean() >= MIN_AGREEMENT))


def nncf_max_drop(seen: Seen) -> str:
    """NNCF's ``quantize_with_accuracy_control``: the drop of the metric on the validation rows is at most 0.01.

    Without labels the metric is agreement with float, of which float itself has 1.
    """
    if seen.one.correct is None:
        return _unless(bool(1.0 - seen.agreed.mean() <= NNCF_MAX_DROP))
    of_float, of_int8 = seen.one.correct[seen.drawn.rows].mean(axis=0)
    return _unless(bool(of_float - of_int8 <= NNCF_MAX_DROP))


def cosine(seen: Seen) -> str:
    """A mean cosine of 0.99."""
    return _unless(bool(seen.one.cosines[seen.drawn.rows].mean() >= LEAST_COSINE))


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "edge-agent": ours,
        "bound, windows counted": counted_only,
        "point estimate": point_estimate,
        "NNCF max_drop": nncf_max_drop,
        "cosine 0.99": cosine,
    }
)


@dataclass(slots=True)
class Tally:
    """Errors of one rule; ``others``: refusals of what agrees, by the code that is not about agreement."""

    bad: int = 0
    accepted_bad: int = 0
    good: int = 0
    refused_good: int = 0
    others: Counter[str] = field(default_factory=Counter)

    def count(self, refusal: str, *, truth: float) -> None:
        """Take one draw into account."""
        if truth < MIN_AGREEMENT:
            self.bad += 1
            self.accepted_bad += not refusal
        elif truth >= GOOD:
            self.good += 1
            if refusal in ABOUT_AGREEMENT:
                self.refused_good += 1
            elif refusal:
                self.others[refusal] += 1

    def __iadd__(self, other: "Tally") -> Self:
        self.bad, self.accepted_bad = self.bad + other.bad, self.accepted_bad + other.accepted_bad
        self.good, self.refused_good = self.good + other.good, self.refused_good + other.refused_good
        self.others.update(other.others)
        return self


@cache
def _proved(wrong: float, windows: float) -> float:
    return agreement_lower(wrong, windows)


def _unless(accepted: bool) -> str:  # noqa: FBT001  # what was found, not an option
    return "" if accepted else "refused"
