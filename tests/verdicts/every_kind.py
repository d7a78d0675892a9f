"""The rows that every kind of output has: int8 good, int8 dead in one way or another, float useless."""

from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import ArrayLike
from verdicts.case import DEAD, Array, Case, FloatModel, Tamper, Windows, accepted, marks, refused
from verdicts.signals import SIGNALS
from verdicts.traits import NOT_KEPT, TRAITS

WINDOWS, MANY, RARE = 300, 600, 15
"""Of 300 windows 8 may disagree to prove 95 %, of 600 there may be 20: so fifteen lost ones do not fail it."""


def windows(
    kind: str, count: int, seed: int, *, rare: ArrayLike = (), marked: ArrayLike | None = None, scaled: bool = False
) -> Windows:
    """Windows of float's outputs; those marked are the rare ones unless others are named."""
    rarely = marks(count, rare)
    values = SIGNALS[kind](np.random.default_rng([seed, count]), rarely, scaled)
    return Windows(values=values, marked=rarely if marked is None else marks(count, marked))


def calibration(kind: str, *, scaled: bool = False) -> Windows:
    """Eighty rows for ranges and forty to search with; scaled: with some of the rare ones."""
    return windows(kind, 120, 2, rare=12 if scaled else (), marked=40, scaled=scaled)


def rows(kind: str) -> Iterator[Case]:
    """Every row of ``kind``."""
    trait = TRAITS[kind]
    model = FloatModel(last=trait.last)
    case = partial(Case, kind=kind, output=trait.output, calibration=calibration(kind))
    unmarked = partial(Case, kind=kind, output=trait.output, calibration=windows(kind, 120, 2))
    plain = partial(case, model=model)
    usual = windows(kind, WINDOWS, 3)
    same, constant = FloatModel(last=trait.last, second="same"), FloatModel(last=trait.last, second="constant")

    def some(marked: ArrayLike) -> Windows:
        return windows(kind, WINDOWS, 3, marked=marked)

    yield plain(name=f"{kind}: good", wrong="nothing", right=accepted(), heldout=usual, tamper=trait.good)
    yield plain(name=f"{kind}: 3 of 300", wrong="1 % wrong", right=accepted(), heldout=some(3), tamper=trait.other)
    yield plain(
        name=f"{kind}: one in ten", wrong="one window in ten", right=refused(*NOT_KEPT), heldout=some(30),
        tamper=trait.other,
    )  # fmt: skip
    yield plain(name=f"{kind}: dead", wrong="all of it dead", right=refused(*NOT_KEPT), heldout=usual, tamper=DEAD)
    yield case(
        name=f"{kind}: another output dead", wrong="another output dead", right=refused("output_ruined"),
        model=same, heldout=usual, tamper=trait.good, tamper_second=DEAD,
    )  # fmt: skip
    yield case(
        name=f"{kind}: another output good", wrong="nothing", right=accepted(),
        model=same, heldout=usual, tamper=trait.good, tamper_second=trait.good,
    )  # fmt: skip
    yield case(
        name=f"{kind}: another output constant", wrong="nothing", right=accepted(),
        model=constant, heldout=usual, tamper=trait.good,
    )  # fmt: skip
    yield plain(
        name=f"{kind}: rare one lost", wrong="one class or regime", right=trait.lost_right,
        heldout=windows(kind, MANY, 4, rare=RARE), tamper=trait.lost,
    )  # fmt: skip
    yield plain(
        name=f"{kind}: rare one kept", wrong="nothing", right=accepted(),
        heldout=windows(kind, MANY, 4, rare=RARE), tamper=trait.good,
    )  # fmt: skip
    yield from _scaled(kind)
    yield case(
        name=f"{kind}: float constant", wrong="float useless", right=refused("no_coverage"),
        model=FloatModel(always=_first(usual), last=trait.last), heldout=usual,
    )  # fmt: skip
    yield unmarked(
        name=f"{kind}: float NaN in one window", wrong="float useless", right=refused("non_finite"),
        model=FloatModel(last=trait.last, nan_if_marked=True), heldout=some([100]),
    )  # fmt: skip
    yield plain(
        name=f"{kind}: NaN in one in ten", wrong="one window in ten", right=refused(*NOT_KEPT, "non_finite"),
        heldout=some(30), tamper=Tamper(offset=np.nan, marked=True),
    )  # fmt: skip


def _scaled(kind: str) -> Iterator[Case]:
    """Channels whose scales differ a hundredfold: the small ones are lost, or kept on a grid of their own."""
    trait = TRAITS[kind]
    if trait.small is None:
        return
    case = partial(
        Case,
        kind=kind,
        output=trait.output,
        model=FloatModel(last=trait.scaled_last, gain=trait.scaled_gain),
        calibration=calibration(kind, scaled=True),
        heldout=windows(kind, MANY, 4, rare=RARE, scaled=True),
    )
    yield case(name=f"{kind}: small group dead", wrong="one group", right=refused(*NOT_KEPT), tamper=trait.small)
    yield case(name=f"{kind}: both groups good", wrong="nothing", right=accepted(), tamper=trait.good_scaled)


def _first(some: Windows) -> Array:
    return np.asarray(some.values[0])


def every_kind() -> list[Case]:
    """The rows of all kinds."""
    return [row for kind in TRAITS for row in rows(kind)]
