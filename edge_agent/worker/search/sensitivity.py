"""What each rounding of a static candidate does to the model's outputs, measured on a few windows of the search set.

One session of the float model with a switch at every place that int8 rounds answers every question, so the cost is
forward passes alone: no rewriting, no loading. Questions are about groups of places
(:func:`.layer_selection.find_effects`), a few dozen for a model of a hundred layers. Windows and questions are
as many as the time given allows.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from edge_agent.backends import Array, Backend, CandidateSpec, FakeQuantSwitches, Feeds, ModelInfo
from edge_agent.contract.carried_state import CarriedState
from edge_agent.contract.scored_output import ScoredOutput
from edge_agent.errors import LimitError
from edge_agent.jobs.task import Stage, Task
from edge_agent.process.heap import give_back, resident_bytes
from edge_agent.quant.output_error import OutputError
from edge_agent.worker.artefacts import prepared_path, read_ranges
from edge_agent.worker.context import Context
from edge_agent.worker.data.dataset import DataSet
from edge_agent.worker.search.layer_selection import Sensitivity, find_effects
from edge_agent.worker.search.other_outputs import other_positions

_STEP_BYTES = 16 << 20
"""From run to run a search's own memory differs by 0.1 MiB, and by 1 MiB before it is given back; a device's free
memory by a few."""
_MODEL_COPIES = 7
"""The memory that this takes, in sizes of the model; 6.4 measured, of which some stay."""
_CALL_COPIES = 2.5
"""And in sizes of what a call of float takes; measured on a net with large activations: 2.1 in onnxruntime, 1.8 in
ai-edge-litert, 1.4 in tflite-runtime."""
MOST_WINDOWS = 16
_FEWEST_WINDOWS = 4
_KEPT_BYTES = 64 << 20
"""Of windows and float's outputs for them, where there are more than the fewest."""
_QUESTIONS_EACH = 1.0
"""Questions expected for each place; a plain bisection of all would need two."""


def fits(memory_bytes: int, model_bytes: int, called_bytes: int = 0, *, copies: float = _MODEL_COPIES) -> bool:
    """Whether :func:`measure` fits into ``memory_bytes`` (0: no limit) beside what this process has already.

    What is there at the moment is told in steps of :data:`_STEP_BYTES`, so that two runs of one command hardly ever
    differ. Memory that this process has free is given back first.

    Args:
        memory_bytes: what the process may take; 0: no limit.
        model_bytes: of the model's file.
        called_bytes: what float takes that is loaded and called, if it is known.
        copies: the memory that is needed, in sizes of the model; of something else than :func:`measure`, its own.
    """
    if not memory_bytes:
        return True
    give_back()
    activations = max(called_bytes - model_bytes, 0)
    mine, limit = -(-resident_bytes() // _STEP_BYTES), memory_bytes // _STEP_BYTES
    return copies * model_bytes + _CALL_COPIES * activations <= (limit - mine) * _STEP_BYTES


def measure(
    context: Context,
    backend: Backend,
    info: ModelInfo,
    data: DataSet,
    called_bytes: Callable[[], int],
    spec: CandidateSpec,
    *,
    seconds: float,
) -> Sensitivity:
    """The sensitivity of the static candidate ``spec``, within about ``seconds`` (and never less than one question).

    ``called_bytes`` is asked only where memory is limited (:func:`fits`).

    Raises:
        MemoryError: it does not fit.
    """
    begun = time.monotonic()
    if context.task.memory_bytes:
        try:
            called = called_bytes()
        except LimitError as refused:
            raise MemoryError(refused.message) from None
        if not fits(context.task.memory_bytes, info.size_bytes, called):
            raise MemoryError
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
    kept = 0
    for feeds in _feeds(context.task, info, data, switches):
        started = time.monotonic()
        outputs = switches.run(feeds, ())
        windows.append((feeds, [outputs[position] for position in positions]))
        kept += sum(array.nbytes for array in (*feeds.values(), *windows[-1][1]))
        question_s = (time.monotonic() - started) * len(places) * _QUESTIONS_EACH
        many = kept >= _KEPT_BYTES or len(windows) * question_s >= seconds
        if len(windows) >= _FEWEST_WINDOWS and many:
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
