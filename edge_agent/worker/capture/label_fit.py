"""Checks, before anything is captured, that the labels of a labelled set can judge the model's output. Pure.

A job whose labels cannot decide would succeed without using them, so it is refused with the key to set:
``[output] kind``. If no kind is named, it is found from float's outputs after the capture. The kinds that the labels
fit are stored until then (:func:`check_found`).
"""

from collections.abc import Sequence
from typing import Any, get_args

import numpy as np

from edge_agent.backends import Array, ModelInfo
from edge_agent.contract import first_output
from edge_agent.contract.scored_output import ScoredOutput
from edge_agent.errors import ContractError, Refusal
from edge_agent.jobs.task import Task
from edge_agent.quant.agreement import Judge, Meaning
from edge_agent.quant.detection.labels import labelled_boxes
from edge_agent.quant.kinds import KINDS
from edge_agent.wire.manifest import LABELLED_KINDS, Output, OutputKind
from edge_agent.worker.capture.preflight import shaped

NAME = "the labelled set"
_FOUND: tuple[OutputKind, ...] = ("classes", "binary", "regression")
"""The members of :data:`LABELLED_KINDS` that can be found if no kind is named."""


class LabelFit:
    """Takes the labels one by one, and finds the kinds that they fit."""

    def __init__(self, task: Task, info: ModelInfo) -> None:
        """Raises ``Refusal`` (output_kind_needed) if the named kind has no labels."""
        self._output = first_output(task)
        self._own_labels = task.arrays is not None
        named = first_output(task).kind
        if named is not None and (
            named not in LABELLED_KINDS or (named == "sequence" and not first_output(task).alphabet)
        ):
            raise Refusal("output_kind_needed", _no_labels(named))
        spec = info.outputs[ScoredOutput(info, task).position]
        unnamed = Output(name=first_output(task).name)
        zeros = [np.zeros(1)] if named == "anomaly" else shaped(spec, first_output(task) if named else unnamed)
        self._zeros: Array | None = zeros[0] if zeros else None
        kinds = (named,) if named is not None else _FOUND
        self._judges = {} if self._zeros is None else _judges(kinds, first_output(task), self._zeros)
        self._why: dict[OutputKind, tuple[int, str]] = {}
        """Each kind that the labels do not fit → the first row that does not fit, and the sentence on it."""
        self._one_hot = True

    def add(self, label: Any, index: int) -> None:
        """Take the label of row ``index``.

        Raises:
            ContractError: ``shape_mismatch``: the label does not fit the named kind.
        """
        self._one_hot = self._one_hot and _is_one_hot(label)
        for kind, judge in list(self._judges.items()):
            try:
                if kind in ("detection", "detection_head"):  # these accept other labels silently
                    labelled_boxes(label)
                judge.correct(self._zeros, label)  # type: ignore[arg-type]  # judges exist only for a known shape
            except ContractError as error:
                text = f"row {index} of {NAME}: {error.message}"
                if self._output.kind is not None:
                    raise ContractError(error.code, f'{text}, or correct [output] kind = "{kind}"') from None
                del self._judges[kind]
                self._why[kind] = index, text

    def kinds(self) -> list[OutputKind]:
        """The kinds that all labels fit; every kind if the output's shape is unknown.

        Raises:
            Refusal: ``output_kind_needed`` if none of these kinds is, or can be found to be, the output's kind.
        """
        if self._zeros is None:
            return list(get_args(OutputKind))
        if not self._judges:
            raise Refusal("output_kind_needed", self._none_fits())
        fits = list(self._judges)
        if self._output.kind is None and not (self._own_labels or self._findable() & set(fits)):
            raise Refusal("output_kind_needed", _name_it(fits, of_classes=self._one_hot))
        return fits

    def _findable(self) -> set[OutputKind]:
        """The kinds with labels that can be found from float's outputs alone."""
        values = np.squeeze(np.zeros(1) if self._zeros is None else self._zeros)
        if values.size == 1:
            return {"binary", "regression"}
        return {"classes"} if values.ndim == 1 else set()

    def _none_fits(self) -> str:
        shape = "" if self._zeros is None else "x".join(map(str, self._zeros.shape))
        nearest = max(self._why, key=lambda kind: (self._why[kind][0], -_FOUND.index(kind)), default=None)
        reasons = "" if nearest is None else f" (as {nearest}: {self._why[nearest][1]})"
        return (
            f"the labels of {NAME} fit no kind for an output of shape {shape}{reasons}; correct them, or set "
            '[output] kind (strings need kind = "sequence" and alphabet)'
        )


def check_found(meaning: Meaning, fits: Sequence[str]) -> None:
    """Raise ``Refusal`` (output_kind_needed) if the labels do not fit the kind that was found."""
    if meaning.kind in fits:
        return
    found = f"the output was taken as {meaning.kind} ({meaning.found})"
    advice = _name_it(fits, of_classes=meaning.kind == "classes")
    raise Refusal("output_kind_needed", f"{found}, which its labels cannot judge; {advice}")


def _judges(kinds: Sequence[OutputKind], output: Output, zeros: Array) -> dict[OutputKind, Judge]:
    made: dict[OutputKind, Judge] = {}
    for kind in kinds:
        try:
            made[kind] = Judge(Meaning(kind, KINDS[kind].resolve(output.of_kind(kind), [zeros]), ""))
            made[kind].observe(zeros)
        except ContractError:  # the output's shape is not this kind's
            made.pop(kind, None)
    return made


def _is_one_hot(label: Any) -> bool:
    """Whether ``label`` is a one-hot class: a row with a single 1."""
    values = np.ravel(label)
    return values.size > 1 and values.dtype.kind in "biuf" and values.sum() == 1 and bool(np.isin(values, (0, 1)).all())


def _name_it(fits: Sequence[str], *, of_classes: bool) -> str:
    """The remedy that makes the labels decide; ``of_classes``: the labels seem to be one-hot classes."""
    settings = " or ".join(f'[output] kind = "{kind}"' for kind in fits)
    if of_classes:
        return f"{NAME} decides nothing then; give one class number per row (labels.argmax(axis=1)), or set {settings}"
    return f"{NAME} decides nothing then; set {settings}"


def _no_labels(kind: str) -> str:
    if kind == "sequence":
        return f"{NAME} decides nothing: set [output] alphabet, which a sequence needs to read strings"
    known = ", ".join(f'"{one}"' for one in LABELLED_KINDS)
    return (
        f'{NAME} decides nothing: labels cannot judge [output] kind = "{kind}"; set the kind of the labels '
        f"({known}), or leave the set out"
    )
