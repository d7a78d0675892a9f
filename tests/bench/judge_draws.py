"""How often rules that accept or refuse int8 err: seeded draws of held-out windows from many rows. Pure.

Of each candidate every row is compared with float once; a rule then sees only the rows of a draw, and the truth is the
agreement on all the others. A *false accept*: it accepts where the truth is below the gate. A *false refusal*: it
refuses where the truth is at 1 % or better. What lies between is nobody's error.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from edge_agent.quant.bounds import agreement_lower
from edge_agent.quant.findings import Measured
from edge_agent.quant.gates import MIN_AGREEMENT, evaluate_heldout
from edge_agent.wire.manifest import Gates, OutputKind
from edge_agent.worker.search.scoring import Score

Numbers = NDArray[np.intp]
STRETCHES = 12
"""In so many pieces a device captures 300 held-out windows by default."""
GOOD = 0.99
NNCF_MAX_DROP = 0.01
LEAST_COSINE = 0.99
GATES = Gates(max_latency_ratio=0, max_size_ratio=0)


@dataclass(frozen=True, slots=True)
class Draw:
    """Held-out windows: which rows, the recording of each (None: independent), and whether they are in time's order."""

    rows: Numbers
    groups: Numbers | None = None
    in_time: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One candidate against float, row by row.

    Attributes:
        kind: of the output.
        agreed: whether the row agrees.
        differences: relative RMS of the difference.
        cosines: of both outputs.
        errors: the squared difference, summed over the output.
        signals: float's own square, summed.
        correct: ``[n, 2]``, float and int8 right; None without labels.
        groups: the recording of each row, in order of time; None: rows are independent.
    """

    kind: OutputKind
    agreed: NDArray[np.bool_]
    differences: NDArray[np.float64]
    cosines: NDArray[np.float64]
    errors: NDArray[np.float64]
    signals: NDArray[np.float64]
    correct: NDArray[np.bool_] | None = None
    groups: Numbers | None = None

    def truth(self, drawn: Draw) -> float:
        """The agreement on all rows that were not drawn."""
        others = np.ones(len(self.agreed), bool)
        others[drawn.rows] = False
        return float(self.agreed[others].mean())

    def measured(self, drawn: Draw) -> Measured:
        """What the verdict is told of the drawn rows."""
        rows = drawn.rows
        score = Score(
            agreed=self.agreed[rows].tolist(),
            differences=self.differences[rows].tolist(),
            groups=[None] * len(rows) if drawn.groups is None else drawn.groups.tolist(),
        )
        errors, signals = self.errors[rows].sum(), self.signals[rows].sum()
        return Measured(
            windows=len(rows),
            windows_effective=len(rows) / score.design_effect(in_time=drawn.in_time),
            disagreements=score.disagreements,
            sqnr_db=10.0 * float(np.log10(signals / errors)) if errors and signals else None,
        )


Rule = Callable[[Compared, Draw], bool | None]
"""Whether it accepts; None where it has nothing to go by."""


def ours(one: Compared, drawn: Draw) -> bool:
    """The verdict with its default gates."""
    return evaluate_heldout(GATES, one.kind, one.measured(drawn)).passed


def point_estimate(one: Compared, drawn: Draw) -> bool:
    """The share that agrees, as if it were the truth."""
    return bool(one.agreed[drawn.rows].mean() >= MIN_AGREEMENT)


def nncf_max_drop(one: Compared, drawn: Draw) -> bool | None:
    """NNCF's ``quantize_with_accuracy_control``: the drop of the metric on the validation rows is at most 0.01."""
    if one.correct is None:
        return None
    of_float, of_int8 = one.correct[drawn.rows].mean(axis=0)
    return bool(of_float - of_int8 <= NNCF_MAX_DROP)


def cosine(one: Compared, drawn: Draw) -> bool:
    """A mean cosine of 0.99."""
    return bool(one.cosines[drawn.rows].mean() >= LEAST_COSINE)


RULES: Mapping[str, Rule] = MappingProxyType(
    {"edge-agent": ours, "point estimate": point_estimate, "NNCF max_drop": nncf_max_drop, "cosine 0.99": cosine}
)


@dataclass(slots=True)
class Tally:
    """Errors of one rule."""

    bad: int = 0
    accepted_bad: int = 0
    good: int = 0
    refused_good: int = 0

    def count(self, *, accepts: bool, truth: float) -> None:
        """Take one draw into account."""
        if truth < MIN_AGREEMENT:
            self.bad += 1
            self.accepted_bad += accepts
        elif truth >= GOOD:
            self.good += 1
            self.refused_good += not accepts


def independent_draws(rows: int, windows: int, count: int, seed: int) -> Iterator[Draw]:
    """``count`` draws without replacement."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        yield Draw(np.sort(random.choice(rows, windows, replace=False)))


def recording_draws(groups: Numbers, windows: int, count: int, seed: int) -> Iterator[Draw]:
    """``count`` draws of whole recordings until there are enough windows; the last one is cut."""
    random = np.random.default_rng(seed)
    names = np.unique(groups)
    for _ in range(count):
        order = random.permutation(names)
        drawn = np.concatenate([np.flatnonzero(groups == name) for name in order])[:windows]
        rows = np.sort(drawn)
        yield Draw(rows, groups[rows])


def stretch_draws(groups: Numbers, windows: int, count: int, seed: int) -> Iterator[Draw]:
    """``count`` draws of stretches, each within one recording, as a capture takes them; rows are in order of time."""
    random = np.random.default_rng(seed)
    size = windows // STRETCHES
    follows = np.flatnonzero(groups[: len(groups) - size + 1] == groups[size - 1 :])
    for _ in range(count):
        taken: list[int] = []
        for start in random.permutation(follows):
            if all(abs(int(start) - other) >= size for other in taken):
                taken.append(int(start))
            if len(taken) == STRETCHES:
                break
        rows = np.concatenate([np.arange(start, start + size) for start in sorted(taken)])
        yield Draw(rows, np.arange(len(rows)) // size, in_time=True)


def covered(one: Compared, drawn: Draw) -> bool:
    """Whether the lower bound of the agreement is not above the truth."""
    measured = one.measured(drawn)
    wrong = (measured.disagreements or 0) / measured.design_effect
    return agreement_lower(wrong, measured.windows_effective) <= one.truth(drawn)
