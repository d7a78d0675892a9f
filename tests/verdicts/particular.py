"""Rows that only some kinds have: borders of the gates, ties at the threshold, a few windows, outputs nobody named."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from verdicts.case import DEAD, Case, FloatModel, Right, Tamper, Windows, accepted, marks, refused
from verdicts.every_kind import MANY, RARE, WINDOWS, calibration, windows
from verdicts.signals import SCALE
from verdicts.traits import NOT_KEPT, TRAITS

from edge_agent.wire.manifest import Output

_NAMED = r"(?i)\b(class|label|side|anomal|yes|positive)"
_SAID = r"(?i)\b(constant|tiny|small|hardly|never changes|not judged)"


def particular() -> list[Case]:
    """All of them."""
    return [*_borders(), *_ties(), *_rare(), *_together(), *_groups(), *_outputs(), *_useless()]


def _case(
    kind: str, name: str, wrong: str, right: Right, heldout: Windows, tamper: Tamper | None = None, **others: object
) -> Case:
    """A row of ``kind`` with what its trait says, but for ``others``."""
    trait = TRAITS[kind]
    row = Case(
        name=f"{kind}: {name}",
        kind=kind,
        wrong=wrong,
        right=right,
        heldout=heldout,
        tamper=tamper,
        calibration=calibration(kind),
        model=FloatModel(last=trait.last),
        output=trait.output,
    )
    return replace(row, **others)  # type: ignore[arg-type]  # fields of the case


def _borders() -> Iterator[Case]:
    """The most that may disagree, one more, and what recordings make of it."""
    other = TRAITS["classes"].other

    def some(marked: ArrayLike) -> Windows:
        return windows("classes", WINDOWS, 3, marked=marked)

    yield _case("classes", "8 of 300", "3 % wrong", accepted(), some(8), other)
    yield _case("classes", "9 of 300", "3 % wrong", refused("agreement_too_low"), some(9), other)
    one = replace(some(np.arange(30, 38)), groups=np.repeat(np.arange(10), 30))
    right = refused(*NOT_KEPT, "too_few_windows")  # there are ten recordings, whatever the number of windows
    yield _case("classes", "8 in one of ten recordings", "3 % wrong", right, one, other)
    recordings = replace(some(0), groups=np.repeat(np.arange(12), 25))
    for words, tamper in (("good", TRAITS["classes"].good), ("identical", None)):
        yield _case("classes", f"{words}, in twelve recordings", "nothing", accepted(), recordings, tamper)


def _ties() -> Iterator[Case]:
    """What is exactly at the threshold says nothing."""
    few = windows("classes", WINDOWS, 3)
    truth = np.where(marks(WINDOWS, 8), 1, 0)
    first = replace(few, values=6.0 * np.eye(5)[truth] + np.random.default_rng(5).normal(0, 0.3, (WINDOWS, 5)))
    equal = Tamper(factor=0.0, offset=0.2)
    yield _case("classes", "all scores equal, mostly class 0", "all of it dead", refused(*NOT_KEPT), first, equal)
    two = Tamper(factor=np.array([0, 0, 1, 1, 1]), offset=np.array([0.9, 0.9, 0, 0, 0]))
    yield _case("classes", "two scores equal, mostly class 0", "all of it dead", refused(*NOT_KEPT), first, two)
    covered = 1.0 - 2.0 * marks(WINDOWS, 8)[:, None, None] * (np.arange(8) < 3)  # 24 pixels
    at = Windows(values=np.broadcast_to(covered, (WINDOWS, 8, 8)), marked=marks(WINDOWS, 0))
    known = calibration("mask")
    known = replace(known, values=known.values[:, 1])
    row = _case("mask", "all at the threshold, mostly covered", "all of it dead", refused(*NOT_KEPT), at, DEAD)
    yield replace(row, calibration=known)
    for kind, threshold in (("binary", 0.5), ("anomaly", 2.0)):
        at = Tamper(factor=0.0, offset=threshold, marked=True)
        heldout = windows(kind, MANY, 4, rare=RARE)
        yield _case(kind, "rare one at the threshold", "one class or regime", refused(*NOT_KEPT), heldout, at)


def _rare() -> Iterator[Case]:
    """A class of few windows, and one that is kept in part."""
    for kind in ("classes", "binary", "anomaly", "detection", "detection_head", "mask", "sequence"):
        right = accepted(_NAMED, or_refused=("class_lost",))
        heldout = windows(kind, MANY, 4, rare=5)
        yield _case(kind, "5 of 5 lost", "one class or regime", right, heldout, TRAITS[kind].lost)
        rare = windows(kind, MANY, 4, rare=RARE)
        for lost, part in ((3, accepted()), (4, refused("class_lost"))):
            places = np.flatnonzero(rare.marked)[:lost]
            heldout = replace(rare, marked=marks(MANY, places))
            tamper = replace(TRAITS[kind].lost, marked=True)
            yield _case(kind, f"{lost} of 15 lost", "part of a class", part, heldout, tamper)


def _together() -> Iterator[Case]:
    """Classes that are rare one by one."""
    row = _case("classes", "", "one group", refused("class_lost"), windows("classes", MANY, 4))
    scaled = replace(row, model=FloatModel(), calibration=calibration("classes", scaled=True))
    many = windows("classes", 2 * MANY, 4, rare=36, scaled=True)
    yield replace(
        scaled, name="classes: small group dead, twelve of each", heldout=many, tamper=TRAITS["classes"].small
    )
    truth = np.where(marks(MANY, 16), 2 + np.arange(MANY) % 3, np.arange(MANY) % 2)
    values = 6.0 * np.eye(5)[truth] + np.random.default_rng(5).normal(0, 0.3, (MANY, 5))
    few = Windows(values=values, marked=marks(MANY, 16))
    lost = Tamper(factor=np.array([1.0, 1.0, 0.0, 0.0, 0.0]))
    yield replace(row, name="classes: three of five each lost", heldout=few, tamper=lost)
    for words, right, factor in (("lost", refused("class_lost"), 0.4), ("kept", accepted(), 0.9)):
        row = _case("binary", f"rare yes of one of four {words}", "one class or regime", right, _decisions(MANY, RARE))
        last = Tamper(factor=np.array([1.0, 1.0, 1.0, factor]))
        yield replace(row, calibration=_decisions(120, 12), tamper=last)


def _decisions(count: int, rare: int) -> Windows:
    """Four logits of yes or no, the last of which is a rare yes."""
    random = np.random.default_rng([9, count])
    yes = random.random((count, 4)) < 0.5  # a coin
    yes[:, 3] = marks(count, rare)
    return Windows(values=np.where(yes, 4.0, -4.0) + random.normal(0, 0.3, (count, 4)), marked=marks(count, rare))


def _groups() -> Iterator[Case]:
    """One scale for all channels, boxes beside scores, and channels that hardly move."""
    for kind, size in (("raw", 16), ("embedding", 16), ("regression", 4)):
        heldout = windows(kind, WINDOWS, 3, scaled=True)
        one_scale = Tamper(step=3.5 * SCALE / 127)
        row = _case(kind, "one scale for both groups", "one group", refused(*NOT_KEPT), heldout, one_scale)
        yield replace(row, calibration=calibration(kind, scaled=True))
        still = np.arange(size) >= size // 2
        known, heldout = (
            replace(one, values=np.where(still, 5.0 + 1e-6 * one.values, one.values))
            for one in (calibration(kind), windows(kind, WINDOWS, 3))
        )
        rounded = Tamper(step=np.where(still, 0.25, 0.03))
        row = _case(kind, "a group that is constant but for rounding", "nothing", accepted(_SAID), heldout, rounded)
        yield replace(row, calibration=known)
        dead = Tamper(factor=np.where(still, 0.0, 1.0))
        row = _case(kind, "a constant group dead", "one group", refused(*NOT_KEPT), heldout, dead)
        yield replace(row, calibration=known)
        coarse = Tamper(step=np.where(still, 1.0, 0.8))
        row = _case(kind, "coarse beside a constant group", "all of it dead", refused(*NOT_KEPT), heldout, coarse)
        yield replace(row, calibration=known)
    for output, words in ((Output(kind="raw"), "raw"), (Output(), "no kind")):
        head = TRAITS["detection_head"]
        known, heldout = calibration("detection_head"), windows("detection_head", WINDOWS, 3)
        row = _case("raw", f"boxes beside scores, {words}", "one group", refused(*NOT_KEPT), heldout, head.small)
        yield replace(row, output=output, calibration=known)
        row = _case("raw", f"boxes beside scores, good, {words}", "nothing", accepted(), heldout, head.good)
        yield replace(row, output=output, calibration=known)


def _outputs() -> Iterator[Case]:
    """Outputs that nobody named, and those that are named."""
    second = FloatModel(last="Softmax", second="same")
    usual = windows("classes", WINDOWS, 3)
    good = TRAITS["classes"].good
    for words, tamper in (("turned round", Tamper(factor=-1.0)), ("NaN", Tamper(offset=np.nan))):
        row = _case("classes", f"another output {words}", "another output dead", refused("output_ruined"), usual, good)
        yield replace(row, model=second, tamper_second=tamper)
    named = Output(kind="classes", name="other")
    row = _case("classes", "the first output dead, the second named", "another output dead", refused("output_ruined"),
                usual, DEAD)  # fmt: skip
    yield replace(row, model=second, output=named, tamper_second=good)
    unnamed = _case("classes", "kind found, good", "nothing", accepted(), usual, good)
    yield replace(unnamed, output=Output())


def _useless() -> Iterator[Case]:
    """Float that says nothing."""
    still = windows("regression", WINDOWS, 3)
    right = accepted(_SAID, or_refused=("no_coverage",))
    hardly = replace(still, values=5.0 + 1e-6 * still.values)
    row = _case("regression", "float constant but for rounding", "float useless", right, hardly)
    yield replace(row, calibration=replace(row.calibration, values=5.0 + 1e-6 * row.calibration.values))
    for kind in ("detection", "detection_head"):
        empty = windows(kind, WINDOWS, 3)
        values = np.array(empty.values)
        scores = (..., 4) if kind == "detection" else (slice(None), slice(4, None))
        values[scores] *= 0.1
        nothing = replace(empty, values=values)
        yield _case(kind, "float finds nothing", "float useless", refused("no_coverage"), nothing)
