"""The capture stage: gathers the three sets, checks the data's quality, and leaves ``sets.json``.

From the operator's ``.npz`` files (:mod:`edge_agent.worker.capture.from_arrays`), or from this device's own sensor:
from what a process of its own has kept (:mod:`edge_agent.worker.capture.from_reservoir`), if that is enough, else from
what it sends now (:mod:`edge_agent.worker.capture.from_sensor`). Later stages read the sets through
:mod:`edge_agent.worker.data.dataset`. A labelled set that came with the model is looked at first, so that nothing is
captured for a file that cannot be used; and before any row of an ``.npz`` is read, whether there are enough of them.
Who opens a sensor opens neither model nor labelled set: :mod:`edge_agent.worker.capture.inspection`.
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
        RecipeError: the task asks for what is not available here.
        ContractError: data or source do not fit the model.
        SourceError: the sensor is absent, busy, silent or lost.
        LimitError: ``no_space``.
        Refusal: the data's quality, too few windows, or labels that could decide nothing.
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
    """Capture what the sensor sends now; where something is kept, say why that will not do."""
    if shortfall is None:
        return capture_source(context, info)
    context.progress(0.0, f"capturing, as {shortfall.why}", force=True)
    sets, data = capture_source(context, info)
    return sets, replace(data, kept=ReservoirUse(used=False, message=f"captured, as {shortfall.why}"))
