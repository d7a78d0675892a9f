"""The memory that serving a model takes: each model alone in fresh processes.

Peak resident memory is an application's view: interpreter, runtime and all. What the model adds is that, less what the
same process had taken when the runtime was imported and no model loaded.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from edge_agent.worker.measure.asking import Probes, ask
from edge_agent.worker.measure.question import Answer, Request, Served

REPEATS = 3
RUNS = 20
_START_S = 1.0
"""Of a process, on a board; a desktop's takes a third of it."""
SAME_BYTES = 512 << 10
"""Peaks of one model differ by up to so much from one process to the next (0.1 to 0.3 MiB, measured on x86-64)."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes: VmHWM of a process with this model alone after :data:`RUNS` runs; the same less that before it loaded."""

    peak_rss_bytes: int
    model_rss_bytes: int

    def ratio(self, reference: "Memory") -> float:
        """What the model adds as a multiple of what ``reference``'s adds; 1 where that is the same within chance.

        What adds less than can be measured, or nothing, counts as :data:`SAME_BYTES`.
        """
        mine, other = self.model_rss_bytes, reference.model_rss_bytes
        return max(mine, SAME_BYTES) / max(other, SAME_BYTES) if abs(mine - other) >= SAME_BYTES else 1.0


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
    taken = {
        model: Memory(
            int(median(one.peak_rss_bytes for one in found)),
            int(median(one.peak_rss_bytes - one.empty_rss_bytes for one in found)),
        )
        for model, found in answers.items()
    }
    return [taken[model] for model in models]


def expected_s(reference_ms: float, models: int) -> float:
    """Seconds of one repeat of a measurement of models that are as slow as their reference, on one runtime."""
    return (1 + models) * _START_S + models * RUNS * reference_ms / 1000.0


def called_bytes(model: Served, feeds: Path) -> int:
    """What a model takes that is loaded and called once: the peak of one process, less that before it was loaded.

    Raises as :func:`measure_memory`.
    """
    alone = ask(Request(feeds=str(feeds), models=[model], rounds=1, min_rounds=1, seconds=0.0))
    return alone.peak_rss_bytes - alone.empty_rss_bytes
