"""The memory that serving a model takes: each model alone in fresh processes.

Peak resident memory is an application's view: interpreter, runtime and all. What the model adds is that, less what the
same process had taken when the runtime was imported and no model loaded. What it keeps is less than the peak, which is
that of loading: the steady memory, after calls, is what models are compared by.
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
"""Processes for a number that decides nothing."""
RUNS = 20
_START_S = 1.0
"""Of a process, on a board; a desktop's takes a third of it."""
SAME_BYTES = 512 << 10
"""What one model keeps differs by up to so much from one process to the next (0.1 to 0.3 MiB, measured on x86-64)."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Of a process with this model alone and :data:`RUNS` calls: bytes, and milliseconds.

    Attributes:
        peak_rss_bytes: VmHWM.
        model_rss_bytes: the same, less that before the model was loaded.
        loaded_rss_bytes: VmRSS once it is loaded, less that before.
        steady_rss_bytes: VmRSS after all calls, less that before it was loaded.
        load_ms: until it can be called.
        first_ms: of the first call.
    """

    peak_rss_bytes: int
    model_rss_bytes: int
    loaded_rss_bytes: int
    steady_rss_bytes: int
    load_ms: float
    first_ms: float


def kept_ratio(mine: int, other: int) -> float:
    """What one model keeps (steady bytes) as a multiple of what another keeps; 1 where that is the same within chance.

    What keeps less than can be measured, or nothing, counts as :data:`SAME_BYTES`.
    """
    return max(mine, SAME_BYTES) / max(other, SAME_BYTES) if abs(mine - other) >= SAME_BYTES else 1.0


def with_memory(record: MeasuredModel, taken: Memory, **others: Any) -> MeasuredModel:
    """``record`` with what serving the model takes, and ``others``."""
    return replace(record, **asdict(taken), **others)


def measure_memory(
    models: Sequence[Served], feeds: Path, on_process: Callable[[int], None], *, repeats: int = REPEATS
) -> list[Memory]:
    """The memory of each model: medians over ``repeats`` processes.

    Args:
        models: what to measure, each alone.
        feeds: one row for all of them (:func:`edge_agent.worker.measure.feeds.write_feeds`).
        on_process: called with the number of processes done, after each.
        repeats: one is enough to choose by: what a process takes moves by little.

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
    """The memory of a model as an application usually loads it, which takes more; None where that does not go.

    It is for comparison alone, so nothing that goes wrong with it ends the job.
    """
    try:
        return measure_memory([dataclass_replace(served, usual=True)], feeds, on_process, repeats=FEW)[0]
    except (ModelError, LimitError, StageError):
        return None


def _median(answers: Sequence[Answer]) -> Memory:
    """Of each number the median over processes; what is kept by chance below nothing is nothing."""
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
    """Seconds of one repeat of a measurement of models that are as slow as their reference, on one runtime."""
    return (1 + models) * _START_S + models * RUNS * reference_ms / 1000.0


def called_bytes(model: Served, feeds: Path) -> int:
    """What a model takes that is loaded and called once: the peak of one process, less that before it was loaded.

    Raises as :func:`measure_memory`.
    """
    alone = ask(Request(feeds=str(feeds), models=[model], rounds=1, min_rounds=1, seconds=0.0))
    return alone.peak_rss_bytes - alone.empty_rss_bytes
