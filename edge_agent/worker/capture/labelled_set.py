"""The labelled set that came with a model: checked before anything is captured, and read for the verdict.

Its arrays are the model's inputs: no step of the input contract is applied. No stage between this check and the verdict
opens the set, and nothing of it is stored, so neither ranges nor search know it.

The file is foreign, and a capture may take hours, so every fault of the file is found first and reported with a code.
The unpacked size is bounded before anything is unpacked. From then on, only one row is in memory.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edge_agent.advice.space import lacks_space
from edge_agent.backends import ModelInfo
from edge_agent.contract import first_output
from edge_agent.errors import ContractError, LimitError, Refusal
from edge_agent.jobs.labelled_rows import LUCK, labelled_rows_needed
from edge_agent.quant.agreement import Meaning
from edge_agent.state.durable import write_durably
from edge_agent.wire.manifest import OutputKind
from edge_agent.worker.capture.from_arrays import check_arrays, check_contiguous, not_finite, unfit_arrays
from edge_agent.worker.capture.label_fit import NAME, LabelFit, check_found
from edge_agent.worker.context import Context
from edge_agent.worker.data.array_matching import GROUPS, LABELS, match_arrays
from edge_agent.worker.data.dataset import ArrayData, recording_numbers
from edge_agent.worker.data.npz_rows import ArrayFile
from edge_agent.worker.data.sets import ArraySets, RowSet

MAX_UNPACKED_BYTES = 4 << 30
"""A few megabytes of zip may unpack to terabytes, which would keep the device busy for days."""
MAX_ROW_BYTES = 256 << 20
MAX_ROWS = 100_000
_RESERVE_BYTES = 32 << 20
LABELS_FILE = "labelled.json"
_NAME = NAME


@dataclass(frozen=True, slots=True)
class LabelledSummary:
    """The results of the check: number of windows, warnings, and the kinds that the labels fit."""

    windows: int
    warnings: list[str]
    fits: list[OutputKind]


def check_labelled_set(context: Context, info: ModelInfo) -> LabelledSummary:
    """Find every fault in ``task.eval`` that would end the job later.

    Raises:
        ContractError: ``data_unreadable``, ``input_missing``, ``shape_mismatch`` or ``dtype_mismatch``: the file is not
            a sound ``.npz``, is too large unpacked, or does not fit the model or its output.
        LimitError: ``no_space`` to unpack an array whose rows are not contiguous.
        Refusal: ``non_finite``, ``too_few_windows`` for the accuracy gate, or ``output_kind_needed`` if the labels
            cannot decide anything.
    """
    task = context.task
    file = _open(context, info)
    windows = file.members[LABELS].rows
    needed = labelled_rows_needed(task.gates, first_output(task).kind)
    if needed is not None and windows < needed.fewest:
        raise Refusal(
            "too_few_windows",
            f"{_NAME} has {windows} windows; to prove max_accuracy_drop it needs {needed.enough}: give "
            f"{needed.enough} rows or more, or set [gates] max_accuracy_drop = 0, and it will not decide",
        )
    fit = LabelFit(task, info)
    bad, first = 0, ""
    for done, row in enumerate(_data(context, info, windows).rows("eval"), 1):
        context.progress(0.0, f"reading {_NAME} ({done} of {windows})")
        if (wrong := not_finite(row)) is not None:
            bad += 1
            first = first or f"the first is row {row.index} of {wrong!r}"
        else:
            fit.add(row.label, row.index)
    if bad:
        raise Refusal("non_finite", f"{bad} of {windows} rows of {_NAME} hold NaN or Inf; {first}; remove them")
    warnings = [f"{_NAME}: {warning}" for warning in unfit_arrays(file, info)]
    if needed is not None and windows < needed.enough:
        warnings.append(
            f"{_NAME} has few windows, {windows}: without an error it takes {needed.enough} to prove "
            f"max_accuracy_drop, and {LUCK}; give {needed.enough} rows or more"
        )
    return LabelledSummary(windows, warnings, fit.kinds())


def save_label_fit(folder: Path, found: LabelledSummary) -> None:
    """Write the kinds that the labels fit, which the search needs without opening the set."""
    write_durably(folder / LABELS_FILE, msgspec.json.encode(found.fits))


def check_kind(folder: Path, meaning: Meaning) -> None:
    """Check the kind found from float's outputs against the kinds of :func:`save_label_fit` in ``folder``, if any.

    Raises:
        Refusal: ``output_kind_needed``: the labels do not fit the kind.
    """
    path = folder / LABELS_FILE
    if path.exists():
        check_found(meaning, msgspec.json.decode(path.read_bytes(), type=list[str]))


def open_labelled(context: Context, info: ModelInfo) -> ArrayData:
    """The labelled set as the set ``eval``; raises as :func:`check_labelled_set`, but reads no rows."""
    return _data(context, info, _open(context, info).members[LABELS].rows)


def _data(context: Context, info: ModelInfo, windows: int) -> ArrayData:
    path = str(context.job_dir / context.task.eval)
    none = RowSet("", [])
    sets = ArraySets(none, none, none, RowSet(path, list(range(windows))))
    return ArrayData(sets, info, context.task, context.out_dir)


def _open(context: Context, info: ModelInfo) -> ArrayFile:
    """The file, after checking its headers."""
    task = context.task
    file = ArrayFile(context.job_dir / task.eval, context.out_dir)
    if (unpacked := file.unpacked_bytes) > MAX_UNPACKED_BYTES:
        share = MAX_UNPACKED_BYTES / unpacked
        raise ContractError(
            "data_unreadable",
            f"{_NAME} unpacks to {unpacked / 1e6:.0f} MB, and the limit is {MAX_UNPACKED_BYTES / 1e6:.0f} MB; give "
            f"{share:.0%} of its rows",
        )
    check_arrays(file, _NAME, info, task)
    if LABELS not in file.members:
        raise ContractError("input_missing", f"{_NAME} has no array {LABELS!r}; add it, with one label per row")
    matched = match_arrays(file.members, info)
    used = {*matched.values(), LABELS, *({GROUPS} & file.members.keys())}
    members = [file.members[name] for name in sorted(used)]
    if not 0 < members[0].rows <= MAX_ROWS:
        raise ContractError("data_unreadable", f"{_NAME} has {members[0].rows} rows; give 1 to {MAX_ROWS}")
    if (largest := max(member.row_bytes for member in members)) > MAX_ROW_BYTES:
        allowed = f"and the limit is {MAX_ROW_BYTES / 1e6:.3g} MB; give smaller rows"
        raise ContractError("data_unreadable", f"a row of {_NAME} takes {largest / 1e6:.3g} MB, {allowed}")
    columns = sum(member.rows * member.row_bytes for member in members if member.fortran)
    if columns and columns > (free := shutil.disk_usage(context.out_dir).free - _RESERVE_BYTES):
        what = lacks_space(f"reading the transposed arrays of {_NAME}", columns, max(free, 0), context.out_dir)
        raise LimitError("no_space", f"{what}, or save contiguous copies")
    if GROUPS in used and any(state.input not in matched for state in task.state):
        check_contiguous(recording_numbers(file.load(GROUPS)))
    return file
