"""Measures the memory that serving a model takes, with each model alone in fresh processes.

Peak resident memory is the application's view and includes the interpreter and the runtime. The model's own part is
the peak minus the memory of the same process with the runtime imported and no model loaded. The peak occurs while the
model is loaded and exceeds what stays resident. Models are therefore compared by their steady memory, after calls.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from dataclasses import replace as dataclass_replace
from pathlib import Path
from statistics import median
from typing import Any

from msgspec.structs import replace

from edge_agent.errors import LimitError, ModelError, StageError
from edge_agent.jobs.result import MeasuredModel
from edge_agent.worker.measure.asking import Probes, ask
from edge_agent.worker.measure.question import Answer, Request, Served

REPEATS = 5
FEW = 3
"""Processes for a number that is only reported."""
RUNS = 20
_START_S = 1.0
"""Start time of a process on a board; a desktop needs a third of it."""
SAME_BYTES = 512 << 10
"""The steady memory of one model differs by up to this between processes (0.1 to 0.3 MiB, measured on x86-64)."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory (bytes) and times (ms) of a process that holds this model alone and makes :data:`RUNS` calls.

    Attributes:
        peak_rss_bytes: VmHWM.
        model_rss_bytes: VmHWM minus VmHWM before the model was loaded.
        loaded_rss_bytes: VmRSS with the model loaded, minus VmRSS before.
        steady_rss_bytes: VmRSS after all calls, minus VmRSS before the model was loaded.
        load_ms: time until the model can be called.
        first_ms: time of the first call.
    """

    peak_rss_bytes: int
    model_rss_bytes: int
    loaded_rss_bytes: int
    steady_rss_bytes: int
    load_ms: float
    first_ms: float


def kept_ratio(mine: int, other: int) -> float:
    """The steady memory of one model as a multiple of another's; 1 if they differ by less than :data:`SAME_BYTES`.

    A value below :data:`SAME_BYTES` cannot be measured and counts as :data:`SAME_BYTES`.
    """
    return max(mine, SAME_BYTES) / max(other, SAME_BYTES) if abs(mine - other) >= SAME_BYTES else 1.0


def with_memory(record: MeasuredModel, taken: Memory, **others: Any) -> MeasuredModel:
    """Return ``record`` with the memory figures and the fields ``others``."""
    return replace(record, **asdict(taken), **others)


def measure_memory(
    models: Sequence[Served], feeds: Path, on_process: Callable[[int], None], *, repeats: int = REPEATS
) -> list[Memory]:
    """The memory of each model: medians over ``repeats`` processes.

    Args:
        models: what to measure, each alone.
        feeds: one row for all of them (:func:`edge_agent.worker.measure.feeds.write_feeds`).
        on_process: called after each process with the number of processes done.
        repeats: processes per model; one is enough to choose by, because memory differs little between processes.

    Raises:
        ModelError, LimitError, StageError: as :func:`edge_agent.worker.measure.asking.ask`.
    """
    answers: dict[Served, list[Answer]] = {model: [] for model in models}
    with Probes() as probes:
        probes.expect(repeats * len(answers))
        for repeat in range(repeats):
            for number, (model, found) in enumerate(answers.items(), start=1):
                found.append(probes.ask(Request(feeds=str(feeds), models=[model], min_rounds=RUNS, seconds=0.0)))
                on_process(repeat * len(answers) + number)
    taken = {model: _median(found) for model, found in answers.items()}
    return [taken[model] for model in models]


def measure_usual(served: Served, feeds: Path, on_process: Callable[[int], None]) -> Memory | None:
    """The memory of a model loaded with the runtime's defaults, which take more; None if the measurement fails.

    The value serves only for comparison, so no failure here ends the job.
    """
    try:
        return measure_memory([dataclass_replace(served, usual=True)], feeds, on_process, repeats=FEW)[0]
    except (ModelError, LimitError, StageError):
        return None


def _median(answers: Sequence[Answer]) -> Memory:
    """The median of each number over processes; a negative memory difference is noise and becomes 0."""
    footprints = [one.footprint for one in answers if one.footprint is not None]
    if not footprints:
        raise StageError("stage_crashed", "the measurement of one model returned no memory figures")
    return Memory(
        peak_rss_bytes=int(median(one.peak_rss_bytes for one in answers)),
        model_rss_bytes=int(median(one.peak_rss_bytes - one.empty_rss_bytes for one in answers)),
        loaded_rss_bytes=max(0, int(median(one.loaded_rss_bytes for one in footprints))),
        steady_rss_bytes=max(0, int(median(one.steady_rss_bytes for one in footprints))),
        load_ms=median(one.load_ms for one in footprints),
        first_ms=median(one.first_ms for one in footprints),
    )


def expected_s(reference_ms: float, models: int) -> float:
    """The seconds of one repeat for models that are as slow as their reference, on one runtime."""
    return (1 + models) * _START_S + models * RUNS * reference_ms / 1000.0


def called_bytes(model: Served, feeds: Path) -> int:
    """The memory of loading a model and calling it once: the peak of one process minus the peak before loading.

    Raises the errors of :func:`measure_memory`.
    """
    alone = ask(Request(feeds=str(feeds), models=[model], rounds=1, min_rounds=1, seconds=0.0))
    return alone.peak_rss_bytes - alone.empty_rss_bytes
