"""Captures from an operator's ``.npz`` files without a copy: each row is checked once and assigned to a set."""

from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace

from edge_agent.backends import ModelInfo
from edge_agent.contract import first_output
from edge_agent.contract.feeding import check_all_fed, check_dtype, fed_shape, fixed_feeds
from edge_agent.errors import ContractError, Refusal
from edge_agent.jobs.data_summary import Data, Enough, SetSummary
from edge_agent.jobs.task import ArrayFiles, Task
from edge_agent.quant.bounds import refusal_chance
from edge_agent.quant.limits import resolve_gates
from edge_agent.worker.capture.enough_rows import RowsGiven
from edge_agent.worker.context import Context
from edge_agent.worker.data.array_matching import GROUPS, LABELS, lead, match_arrays, widened
from edge_agent.worker.data.dataset import ArrayData, Row, recording_numbers
from edge_agent.worker.data.finding import refuse, with_findings
from edge_agent.worker.data.npz_rows import ArrayFile
from edge_agent.worker.data.sets import ArraySets, RowSet
from edge_agent.worker.data.split import SPLITS, Indices, Split, split_rows
from edge_agent.worker.quality.rows import Rows

_SURE_ROWS = 181
"""With this many rows, a model that truly disagrees on 1 % of all rows nearly always proves an agreement of 95 %."""


def capture_arrays(context: Context, info: ModelInfo, files: ArrayFiles) -> tuple[ArraySets, Data]:
    """The sets, and their summary for the result object.

    Raises:
        ContractError: the files do not fit the model, or cannot be read.
        ModelError: ``state_undeclared``.
        Refusal: ``non_finite``, ``constant_channel``, or ``too_few_windows``.
    """
    task = context.task
    calibration, heldout, split = _divided(context, info, files)
    paths: dict[Split, str] = dict.fromkeys(SPLITS, files.calibration)
    paths["heldout"] = files.heldout or files.calibration
    sets = ArraySets(**{name: RowSet(paths[name], split[name].tolist()) for name in SPLITS})
    data = ArrayData(sets, info, task, context.out_dir)
    kind = first_output(task).kind or "raw"  # for an unknown kind, agreement decides
    limit = resolve_gates(task.gates, kind, labelled=LABELS in heldout.members).min_agreement
    rows = _look_at_rows(context, data)
    findings = rows.findings()
    refuse(findings)
    calibration_set, search_set, heldout_set = (SetSummary(windows=data.count(name)) for name in SPLITS)
    stability = rows.stability()
    enough = None if stability is None else stability.summary(data.count("calibration"))
    summary = with_findings(
        Data(calibration=calibration_set, search=search_set, heldout=heldout_set, enough=Enough(calibration=enough)),
        findings,
    )
    more = _warnings(calibration, info, len(split["heldout"]), limit)
    return sets, replace(summary, warnings=[*summary.warnings, *more])


def rows_given(context: Context, info: ModelInfo, files: ArrayFiles) -> RowsGiven:
    """The rows of each set, from headers and division, without reading a row; raises as :func:`capture_arrays`."""
    _, heldout, split = _divided(context, info, files)
    return RowsGiven(
        {name: len(split[name]) for name in SPLITS},
        labelled=LABELS in heldout.members,
        heldout_apart=bool(files.heldout),
        dependent=GROUPS in heldout.members or bool(context.task.state),
    )


def _divided(context: Context, info: ModelInfo, files: ArrayFiles) -> tuple[ArrayFile, ArrayFile, dict[Split, Indices]]:
    """The file of the calibration rows, the file of the held-out rows, and the rows of each set."""
    calibration = _open(Path(files.calibration), info, context.task, context.out_dir)
    heldout = _open(Path(files.heldout), info, context.task, context.out_dir) if files.heldout else calibration
    split = _split(calibration, info, context.task, heldout_apart=bool(files.heldout))
    if files.heldout:
        split["heldout"] = np.arange(_row_count(heldout, info))
    if not len(split["heldout"]):
        raise Refusal("too_few_windows", f"{Path(files.heldout).name} has no rows; give 300 or more (--heldout)")
    return calibration, heldout, split


def _open(path: Path, info: ModelInfo, task: Task, scratch: Path) -> ArrayFile:
    """Open a file and check its headers against the model."""
    file = ArrayFile(path, scratch)
    check_arrays(file, path.name, info, task)
    return file


def check_arrays(file: ArrayFile, named: str, info: ModelInfo, task: Task) -> None:
    """Check a file's headers against the model.

    Args:
        file: the arrays.
        named: the file's name for messages.
        info: the model to be fed with the file's rows.
        task: the task, with constants and state that need no array.

    Raises:
        ContractError: an array is missing, or has the wrong shape, type or number of rows.
        ModelError: ``state_undeclared``.
    """
    specs = {spec.name: spec for spec in info.inputs}
    matched = match_arrays(file.members, info)
    used = [array for array in file.members if array in {*matched.values(), LABELS, GROUPS}]
    have = f"{named} has the arrays {', '.join(map(repr, file.members)) or '(none)'}"
    check_all_fed([*matched, *fixed_feeds(info, task)], info, task.state, have)
    if single := [array for array in used if not file.members[array].shape]:
        what = f"array {single[0]!r} of {named} is a single value; give it a first axis of rows"
        raise ContractError("shape_mismatch", what)
    if len({file.members[array].rows for array in used}) > 1:
        listed = ", ".join(f"{array!r} {file.members[array].rows}" for array in used)
        what = f"{named}: arrays differ in their number of rows: {listed}; give the same number for each"
        raise ContractError("shape_mismatch", what)
    for name, array in matched.items():
        member = file.members[array]
        check_dtype(member.dtype, specs[name], f"array {array!r} of {named}")
        fed_shape(member.shape[1:], specs[name], f"a row of array {array!r} of {named}")
    if GROUPS in file.members and (
        file.members[GROUPS].dtype.kind not in "iuSU" or len(file.members[GROUPS].shape) > 1
    ):
        raise ContractError(
            "data_unreadable",
            f"{named}: 'groups' does not name one recording per row; give one integer or string per row",
        )
    if LABELS in file.members and file.members[LABELS].dtype.kind not in "biufSU":
        raise ContractError(
            "data_unreadable", f"{named}: 'labels' are of type {file.members[LABELS].dtype}; give numbers or strings"
        )


def _split(file: ArrayFile, info: ModelInfo, task: Task, *, heldout_apart: bool) -> dict[Split, Indices]:
    labels = file.members.get(LABELS)
    matched = match_arrays(file.members, info)
    carried = any(state.input not in matched for state in task.state)
    groups = recording_numbers(file.load(GROUPS)) if GROUPS in file.members else None
    if carried and groups is not None:
        check_contiguous(groups)
    stratified = labels is not None and lead(labels.dtype, labels.shape)
    return split_rows(
        _row_count(file, info),
        seed=task.seed,
        heldout_apart=heldout_apart,
        ordered=carried,
        labels=file.load(LABELS) if stratified else None,
        groups=groups,
    )


def check_contiguous(groups: Indices) -> None:
    """Raise ``ContractError`` (data_unreadable) unless each recording's rows are consecutive, as state needs."""
    if np.count_nonzero(np.diff(groups)) >= len(np.unique(groups)):
        what = "the model carries state, but the rows of a group are not consecutive; put each group's rows together"
        raise ContractError("data_unreadable", what)


def _row_count(file: ArrayFile, info: ModelInfo) -> int:
    return file.members[next(iter(match_arrays(file.members, info).values()))].rows


def _look_at_rows(context: Context, data: ArrayData) -> Rows:
    """Read every row once; raises ``Refusal`` (non_finite)."""
    total = sum(data.count(split) for split in SPLITS)
    done, bad, first = 0, 0, ""
    rows = Rows({split: data.count(split) for split in SPLITS}, stateful=bool(context.task.state))
    for split in SPLITS:
        for row in data.rows(split):
            done += 1
            context.progress(done / total, f"reading rows ({done} of {total})")
            wrong = not_finite(row)
            if wrong is None:
                rows.add(split, row.feeds)
                continue
            bad += 1
            first = first or f"the first is row {row.index} of {wrong!r} in the {split} set"
    if bad:
        raise Refusal("non_finite", f"{bad} of {total} rows hold NaN or Inf; {first}; remove them")
    return rows


def not_finite(row: Row) -> str | None:
    """The first array of a row with NaN or Inf: an input's name, or ``labels``; None if all values are finite."""
    named = [*row.feeds.items(), (LABELS, row.label)]
    return next((name for name, values in named if not _finite(values)), None)


def _finite(values: Any) -> bool:
    array = np.asarray(values)
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


def _warnings(file: ArrayFile, info: ModelInfo, heldout: int, min_agreement: float) -> list[str]:
    warnings = unfit_arrays(file, info)
    if heldout < _SURE_ROWS and 0 < min_agreement < 1:
        chance = refusal_chance(heldout, min_agreement)
        warnings.append(
            f"{heldout} held-out rows are few: a good model (1 % disagreement) would fail min_agreement "
            f"{min_agreement:g} with a chance of {chance:.0%}; give {_SURE_ROWS} rows or more, best 300 (--heldout)"
        )
    return warnings


def unfit_arrays(file: ArrayFile, info: ModelInfo) -> list[str]:
    """A warning for each array that is converted to another type, and one for all arrays that feed no input."""
    matched = match_arrays(file.members, info)
    warnings = widened({name: member.dtype for name, member in file.members.items()}, matched, info)
    unused = [name for name in file.members if name not in {*matched.values(), LABELS, GROUPS}]
    if unused:
        warnings.append(f"arrays that feed no input are not used: {', '.join(map(repr, unused))}")
    return warnings
