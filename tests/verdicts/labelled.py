"""Rows with labels: beside the held-out windows, or in a set that came with the model."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

import msgspec
import numpy as np
from verdicts.case import ANY_COST, Array, Case, FloatModel, Windows, accepted, refused
from verdicts.every_kind import MANY, RARE, WINDOWS, calibration, windows
from verdicts.traits import NOT_KEPT, TRAITS

from edge_agent.wire.manifest import Output

DECIDING = msgspec.structs.replace(ANY_COST, max_accuracy_drop=0.03)
"""Labels of these kinds decide only where this gate is asked for."""
ALPHABET = "abcde"


def classes(values: Array) -> Array:
    return np.asarray(values.argmax(axis=1))


def sides(values: Array) -> Array:
    return np.asarray(values[:, 0] > 0).astype(np.int64)


def anomalies(values: Array) -> Array:
    return np.asarray(values[:, 0] >= 2.0).astype(np.int64)


def estimates(values: Array) -> Array:
    return values.astype(np.float32)


def words(values: Array) -> Array:
    """Greedy decoding, written down once more."""
    read = []
    for window in values.argmax(axis=2):
        kept = [now for before, now in zip([-1, *window[:-1]], window, strict=True) if now not in (before, 0)]
        read.append("".join(ALPHABET[symbol - 1] for symbol in kept))
    return np.array(read)


TRUTH: Mapping[str, Callable[[Array], Array]] = MappingProxyType(
    {"classes": classes, "binary": sides, "anomaly": anomalies, "regression": estimates, "sequence": words}
)
UNFIT: Mapping[str, Callable[[Array], Array]] = MappingProxyType(
    {
        "classes": lambda labels: (labels + 1) % 5,
        "binary": lambda labels: 1 - labels,
        "anomaly": lambda labels: 1 - labels,
        "regression": lambda labels: labels * 100 + 500,
        "sequence": lambda labels: np.array([word[::-1] + "a" for word in labels]),
    }
)
"""Labels of something else: counted from 1, turned round, in another unit."""


def labelled() -> list[Case]:
    """All of them."""
    return [*(row for kind in TRUTH for row in _rows(kind)), *_imperfect(), *_boxes(), _unlabelled()]


def _rows(kind: str) -> Iterator[Case]:
    trait = TRAITS[kind]
    gates = ANY_COST if kind in ("classes", "binary") else DECIDING
    base = Case(
        name="", kind=kind, wrong="nothing", right=accepted(), tamper=trait.good, gates=gates,
        output=Output(kind="sequence", alphabet=ALPHABET) if kind == "sequence" else trait.output,
        model=FloatModel(last=trait.last),
        calibration=calibration(kind), heldout=windows(kind, WINDOWS, 3),
    )  # fmt: skip
    fit = with_labels(kind, windows(kind, WINDOWS, 5))
    unfit = replace(fit, labels=UNFIT[kind](fit.labels if fit.labels is not None else np.zeros(0)))
    yield replace(base, name=f"{kind}: labelled set, good", evaluation=fit)
    right = refused("labels_unfit")
    yield replace(
        base, name=f"{kind}: labelled set unfit", wrong="labels float does not fit", right=right, evaluation=unfit
    )
    told = accepted(r"(?i)\blabel", or_refused=("labels_unfit",))
    yield replace(
        base, name=f"{kind}: held-out labels unfit", wrong="labels float does not fit", right=told, heldout=unfit
    )
    if kind == "regression":
        return
    lost = with_labels(kind, windows(kind, MANY + 200, 6, rare=RARE))
    tamper = replace(trait.lost, marked=True)
    worse = replace(base, tamper=tamper, wrong="one class or regime", right=refused(*NOT_KEPT, "accuracy_too_low"))
    yield replace(worse, name=f"{kind}: rare label lost, held-out", heldout=lost)
    yield replace(worse, name=f"{kind}: rare label lost, labelled set", evaluation=lost)
    unfit = replace(lost, labels=UNFIT[kind](lost.labels if lost.labels is not None else np.zeros(0)))
    yield replace(worse, name=f"{kind}: rare class lost, held-out labels unfit", heldout=unfit)


def _imperfect() -> Iterator[Case]:
    """Float fits its labels, but not by much: no reason to doubt them."""
    known = {kind: windows(kind, WINDOWS, 5) for kind in ("anomaly", "regression")}
    alarms = anomalies(known["anomaly"].values)
    true = alarms * (np.cumsum(alarms) <= 6)  # so "usual" has more right than float with its alarms
    noise = np.random.default_rng(7).normal(0, 0.8, (WINDOWS, 4))
    labels = {"anomaly": true, "regression": estimates(known["regression"].values + noise)}
    for kind, words in (("anomaly", "mostly false alarms"), ("regression", "noisy labels")):
        trait = TRAITS[kind]
        yield Case(
            name=f"{kind}: labelled set, {words}", kind=kind, wrong="nothing", right=accepted(), tamper=trait.good,
            gates=DECIDING, output=trait.output, model=FloatModel(last=trait.last), calibration=calibration(kind),
            heldout=windows(kind, WINDOWS, 3), evaluation=replace(known[kind], labels=labels[kind]),
        )  # fmt: skip


def _boxes() -> Iterator[Case]:
    """Labels of a detector: float's own boxes, or these as fractions of a frame beside boxes in pixels."""
    kind, trait = "detection", TRAITS["detection"]
    few, rare = windows(kind, WINDOWS, 3), windows(kind, MANY, 4, rare=RARE)
    fit, lost = (replace(one, labels=boxes(one.values)) for one in (few, rare))
    unfit, lost_unfit = (replace(one, labels=boxes(one.values, unit=320.0)) for one in (few, rare))
    good = Case(
        name="", kind=kind, wrong="nothing", right=accepted(), tamper=trait.good, gates=DECIDING, output=trait.output,
        model=FloatModel(last=trait.last), calibration=calibration(kind), heldout=few,
    )  # fmt: skip
    yield replace(good, name="detection: labelled set, good", evaluation=fit)
    wrong, right = "labels float does not fit", refused("labels_unfit")
    yield replace(good, name="detection: labelled set unfit", wrong=wrong, right=right, evaluation=unfit)
    told = accepted(r"(?i)\blabel", or_refused=("labels_unfit",))
    yield replace(good, name="detection: held-out labels unfit", wrong=wrong, right=told, heldout=unfit)
    worse = replace(good, wrong="one class or regime", right=refused(*NOT_KEPT, "accuracy_too_low"), tamper=trait.lost)
    yield replace(worse, name="detection: rare label lost, held-out", heldout=lost)
    yield replace(worse, name="detection: rare class lost, held-out labels unfit", heldout=lost_unfit)


def _unlabelled() -> Case:
    """A class that float knows and labels do not."""
    kind, trait = "classes", TRAITS["classes"]
    some = windows(kind, MANY + 200, 6, rare=RARE)
    return Case(
        name="classes: a class that labels do not know lost", kind=kind, wrong="one class or regime",
        right=accepted("class 4.*labels", or_refused=("class_lost",)), tamper=replace(trait.lost, marked=True),
        output=trait.output, model=FloatModel(last=trait.last), calibration=calibration(kind),
        heldout=replace(some, labels=np.where(some.marked, 0, classes(some.values))),
    )  # fmt: skip


def boxes(values: Array, unit: float = 1.0) -> Array:
    """The boxes that score 0.5 or more as labels, ``unit`` pixels in a unit of theirs; class -1 where there is none."""
    corners, classes = values[..., :4] / unit, np.where(values[..., 4] >= 0.5, values[..., 5], -1.0)
    return np.concatenate([corners, classes[..., None]], axis=-1).astype(np.float32)


def with_labels(kind: str, some: Windows) -> Windows:
    """The same with what float says as labels."""
    return replace(some, labels=TRUTH[kind](some.values))
