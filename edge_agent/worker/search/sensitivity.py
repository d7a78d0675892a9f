"""Measures the effect of each rounding of a static candidate on the model's outputs, on a few search windows.

One session of the float model has a switch at every place that int8 rounds. It serves all measurements, so the cost is
forward passes alone, without rewriting or loading. Each measurement concerns a group of places
(:func:`.layer_selection.find_effects`); a model of a hundred layers takes a few dozen. The given time limits the number
of windows and of measurements.
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
"""Rounding of memory sizes. From run to run, a search's own memory differs by 0.1 MiB (1 MiB before free memory is
returned), and a device's free memory by a few MiB."""
_MODEL_COPIES = 7
"""Memory of the measurement, as a multiple of the model's size; 6.4 measured, part of which stays allocated."""
_CALL_COPIES = 2.5
"""Further memory, as a multiple of that of a float call; measured on a net with large activations: 2.1 in onnxruntime,
1.8 in ai-edge-litert, 1.4 in tflite-runtime."""
MOST_WINDOWS = 16
_FEWEST_WINDOWS = 4
_KEPT_BYTES = 64 << 20
"""Limit of the stored windows with float's outputs, beyond the minimum number of windows."""
_QUESTIONS_EACH = 1.0
"""Expected measurements per place; a plain bisection of all places would need two."""


def fits(memory_bytes: int, model_bytes: int, called_bytes: int = 0, *, copies: float = _MODEL_COPIES) -> bool:
    """Whether :func:`measure` fits into ``memory_bytes`` besides the memory that this process already uses.

    The memory in use is rounded to steps of :data:`_STEP_BYTES`, so that two runs of one command hardly ever differ.
    This process first returns its free memory to the system.

    Args:
        memory_bytes: memory limit of the process; 0: no limit.
        model_bytes: size of the model's file.
        called_bytes: memory of float when loaded and called, if known.
        copies: memory needed by the work, as a multiple of the model's size; the default is that of :func:`measure`.
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
    """The sensitivity of the static candidate ``spec``, within about ``seconds`` but with at least one measurement.

    ``called_bytes`` is called only if memory is limited (:func:`fits`).

    Raises:
        MemoryError: the measurement does not fit into memory.
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
    """Yield the inputs of windows from the whole search set; with state, of its first windows, as float carries state.

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
