"""What each rounding of a static candidate does to the model's outputs, measured on a few windows of the search set.

One session of the float model with a switch at every place that int8 rounds answers every question, so the cost is
forward passes alone: no rewriting, no loading. Questions are about groups of places
(:func:`.layer_selection.find_effects`), a few dozen for a model of a hundred layers. Windows and questions are
as many as the time given allows.
"""

import time
from collections.abc import Iterator, Sequence
from itertools import islice

from edge_agent.backends import Array, Backend, CandidateSpec, FakeQuantSwitches, Feeds, ModelInfo
from edge_agent.contract.carried_state import CarriedState
from edge_agent.contract.scored_output import ScoredOutput
from edge_agent.jobs.task import Stage, Task
from edge_agent.quant.output_error import OutputError
from edge_agent.worker.artefacts import prepared_path, read_ranges
from edge_agent.worker.context import Context
from edge_agent.worker.data.dataset import DataSet
from edge_agent.worker.search.layer_selection import Sensitivity, find_effects
from edge_agent.worker.search.other_outputs import other_positions

MODEL_COPIES = 10
"""The memory that this takes, in sizes of the model, runtime and numpy aside; 6.4 measured, of which some stay."""
MOST_WINDOWS = 16
_FEWEST_WINDOWS = 4
_QUESTIONS_EACH = 1.0
"""Questions expected for each place; a plain bisection of all would need two."""


def measure(
    context: Context, backend: Backend, info: ModelInfo, data: DataSet, spec: CandidateSpec, *, seconds: float
) -> Sensitivity:
    """The sensitivity of the static candidate ``spec``, within about ``seconds`` (and never less than one question)."""
    begun = time.monotonic()
    folder = context.folder(Stage.CALIBRATE)
    prepared = prepared_path(folder, backend.SUFFIX)
    found = read_ranges(folder)
    bounded = found.bounded(spec)
    switches = backend.switches(prepared, found.of(spec.calibration), bounded, runtime=found.runtimes[0])
    positions = sorted(ScoredOutput(info, context.task).positions)
    positions += [place for place in other_positions(info, context.task) if "float" in info.outputs[place].dtype]
    windows: list[tuple[Feeds, Sequence[Array]]] = []
    places = list(switches.needed_by)
    errors = [OutputError() for _ in positions]
    for feeds in _feeds(context.task, info, data, switches):
        started = time.monotonic()
        outputs = switches.run(feeds, ())
        windows.append((feeds, [outputs[position] for position in positions]))
        question_s = (time.monotonic() - started) * len(places) * _QUESTIONS_EACH
        if len(windows) >= max(_FEWEST_WINDOWS, seconds / max(question_s, 1e-9)):
            break
    for _, references in windows:
        for one, reference in zip(errors, references, strict=True):
            one.observe(reference)

    def error(rounded: frozenset[str]) -> float:
        found = [one.fresh() for one in errors]
        for feeds, references in windows:
            outputs = switches.run(feeds, rounded)
            for one, position, reference in zip(found, positions, references, strict=True):
                one.add(reference, outputs[position])
        return sum(one.relative for one in found)

    effects = find_effects(places, error, more=lambda: time.monotonic() - begun < seconds)
    layers = {layer: None for wanted in switches.needed_by.values() for layer in wanted}
    return Sensitivity(effects, switches.needed_by, tuple(layers))


def _feeds(task: Task, info: ModelInfo, data: DataSet, switches: FakeQuantSwitches) -> Iterator[Feeds]:
    """What the model is fed for windows from all over the search set; with state, from its start, as float carries it.

    Neighbours in time resemble each other, so windows are taken at equal distances.
    """
    rows = data.rows("search")
    if not task.state:
        stride = max(1, data.count("search") // MOST_WINDOWS)
        yield from (row.feeds for row in islice(rows, 0, stride * MOST_WINDOWS, stride))
        return
    carried = CarriedState(task.state, info)
    for row in islice(rows, MOST_WINDOWS):
        feeds = carried.feeds(row)
        yield feeds
        carried.keep(switches.run(feeds, ()))
