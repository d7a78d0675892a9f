"""The capture stage: gathers the three sets, checks the data's quality, and leaves ``sets.json``.

The data come from the operator's ``.npz`` files (:mod:`edge_agent.worker.capture.from_arrays`) or from this device's
own sensor. Of a sensor, the stage takes the samples that the sensor's process has stored
(:mod:`edge_agent.worker.capture.from_reservoir`) if they are enough, else it captures live
(:mod:`edge_agent.worker.capture.from_sensor`). Later stages read the sets through
:mod:`edge_agent.worker.data.dataset`.

A labelled set that came with the model is checked first, so that no capture is wasted on an unusable file. The number
of rows of an ``.npz`` is checked before any row is read. A process that opens a sensor opens neither the model nor the
labelled set (:mod:`edge_agent.worker.capture.inspection`).
"""

import msgspec
from msgspec.structs import replace

from edge_agent.backends import ModelInfo
from edge_agent.jobs.data_summary import Data, LabelledSet, ReservoirUse
from edge_agent.jobs.outcome import Outcome
from edge_agent.jobs.result import Result
from edge_agent.state.durable import write_durably
from edge_agent.worker.capture.enough_rows import check_enough, few_rows
from edge_agent.worker.capture.from_arrays import capture_arrays, rows_given
from edge_agent.worker.capture.from_reservoir import capture_kept
from edge_agent.worker.capture.from_sensor import capture_source
from edge_agent.worker.capture.inspection import CHECKING, look_apart, look_at_labels, look_at_model
from edge_agent.worker.capture.labelled_set import save_label_fit
from edge_agent.worker.capture.selection import Shortfall
from edge_agent.worker.context import Context
from edge_agent.worker.data.sets import SETS_FILE, ArraySets, ShardSets


def run(context: Context) -> Outcome:
    """Gather the sets.

    Raises:
        ModelError: the model cannot be read.
        RecipeError: the task requests something that is not available here.
        ContractError: the data or the source does not fit the model.
        SourceError: the sensor is absent, busy, silent or lost.
        LimitError: ``no_space``.
        Refusal: the data's quality, too few windows, or labels that cannot decide anything.
    """
    task = context.task
    sets: ArraySets | ShardSets
    if task.arrays is not None:
        info = look_at_model(context)
        given = rows_given(context, info, task.arrays)
        check_enough(task, given)
        few = few_rows(task, given)
        labelled = look_at_labels(context, info)
        sets, data = capture_arrays(context, info, task.arrays)
        data = replace(data, warnings=[*data.warnings, *few])
    else:
        context.progress(0.0, CHECKING, force=True)
        found = look_apart(context)
        info, labelled = found.info, found.labelled
        kept = capture_kept(context, info)
        if isinstance(kept, tuple):
            sets, data = kept
        else:
            sets, data = _live(context, info, kept)
    if labelled is not None:
        save_label_fit(context.out_dir, labelled)
        warnings = [*data.warnings, *labelled.warnings]
        data = replace(data, eval=LabelledSet(windows=labelled.windows), warnings=warnings)
    write_durably(context.out_dir / SETS_FILE, msgspec.json.format(msgspec.json.encode(sets)))
    return Outcome(results=Result(data=data))


def _live(context: Context, info: ModelInfo, shortfall: Shortfall | None) -> tuple[ShardSets, Data]:
    """Capture live from the sensor; if samples are stored, report why they are not enough."""
    if shortfall is None:
        return capture_source(context, info)
    context.progress(0.0, f"capturing, as {shortfall.why}", force=True)
    sets, data = capture_source(context, info)
    return sets, replace(data, kept=ReservoirUse(used=False, message=f"captured, as {shortfall.why}"))
