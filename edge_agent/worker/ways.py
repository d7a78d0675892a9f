"""The ways to serve a model on this device: with which runtime, on how many threads.

A runtime that crashes when it is imported (a wheel built for another processor) is found by a process of its own and
left out; the one that serves is chosen by measurement among the others.
"""

import os
from collections.abc import Sequence
from typing import NamedTuple

from edge_agent.backends import Backend
from edge_agent.errors import LimitError, ModelError, StageError
from edge_agent.worker.probe import Request, ask


class Way(NamedTuple):
    """One of them."""

    runtime: str
    threads: int


def usable(backend: Backend) -> tuple[list[str], list[str]]:
    """The runtimes of a format that work here, and a warning for each that is installed and does not.

    Raises:
        ModelError: ``format_unsupported``, if there is none.
    """
    if len(backend.RUNTIMES) == 1:
        return list(backend.RUNTIMES), []  # if it does not work, whatever needs it says so
    works: list[str] = []
    warnings: list[str] = []
    missing: list[str] = []
    for runtime in backend.RUNTIMES:
        try:
            ask(Request(feeds="", runtime=runtime))
            works.append(runtime)
        except ModelError as error:
            missing.append(error.message)
        except (StageError, LimitError) as error:
            warnings.append(f"{runtime} is left out, it does not work on this device: {error.message}")
    if not works:
        raise ModelError("format_unsupported", "; ".join([*warnings, *missing]))
    return works, warnings


def ways(runtimes: Sequence[str], threads: Sequence[int]) -> tuple[list[Way], list[str]]:
    """Every runtime with every thread count that this device has cores for, the fewest threads first; and warnings."""
    cores = len(os.sched_getaffinity(0))
    fit = sorted({count for count in threads if count <= cores}) or [cores]
    many = sorted(set(threads) - set(fit))
    warnings = [f"threads = {many}: not tried, this device has {cores} cores"] if many else []
    return [Way(runtime, count) for count in fit for runtime in runtimes], warnings
