"""How a model can be served on this device: the runtimes and the thread counts.

A runtime may crash when it is imported, for example a wheel built for another processor. Each runtime is therefore
imported in its own process first, and one that crashes is left out. Measurements choose among the others.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from edge_agent.advice.installation import absent, how_to_add
from edge_agent.backends import Backend, ModelInfo
from edge_agent.errors import LimitError, ModelError, StageError
from edge_agent.strict import counted
from edge_agent.worker.measure.asking import ask
from edge_agent.worker.measure.question import Request


class ServingOption(NamedTuple):
    """A runtime and its number of threads."""

    runtime: str
    threads: int


@dataclass(slots=True)
class Runtimes:
    """The runtimes of a format on this device.

    Attributes:
        works: name → version.
        broken: name → how an installed runtime crashes or hangs when it is imported.
        missing: name → what to install for a runtime that is not installed.
    """

    works: dict[str, str] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def probe_runtimes(backend: Backend) -> Runtimes:
    """Import every runtime of a format, each in its own process."""
    found = Runtimes()
    for runtime in backend.RUNTIMES:
        try:
            found.works[runtime] = ask(Request(feeds="", runtime=runtime)).version
        except ModelError as error:
            found.missing[runtime] = error.message
        except (StageError, LimitError) as error:
            found.broken[runtime] = error.message
    return found


def usable(backend: Backend) -> tuple[list[str], list[str]]:
    """The runtimes of a format that work here, and a warning for each installed runtime that does not.

    Raises:
        ModelError: ``format_unsupported``: no runtime is left, or a package that quantizing needs is not installed.
    """
    if len(backend.RUNTIMES) == 1:
        return list(backend.RUNTIMES), []  # if it does not work, its first use reports the error
    found = probe_runtimes(backend)
    warnings = [f"{name} is left out; it does not work on this device: {why}" for name, why in found.broken.items()]
    if why := unable(backend, found):
        raise ModelError("format_unsupported", why)
    return list(found.works), warnings


def that_load(backend: Backend, model: Path, info: ModelInfo, runtimes: list[str]) -> tuple[list[str], list[str]]:
    """The ``runtimes`` that have the model's custom operators, and a warning for each one that lacks them.

    Raises:
        ModelError: no runtime loads the model; the error is that of the first runtime.
    """
    if not info.custom:
        return runtimes, []
    refused: dict[str, ModelError] = {}
    for runtime in runtimes:
        try:
            backend.open(model, runtime=runtime)
        except ModelError as error:
            refused[runtime] = error
    if len(refused) == len(runtimes):
        raise next(iter(refused.values()))
    left = [runtime for runtime in runtimes if runtime not in refused]
    return left, [f"{name} is left out: {error.message}" for name, error in refused.items()]


def unable(backend: Backend, found: Runtimes) -> str:
    """The reason why no model of the format can be quantized on this device; empty if one can."""
    if missing := absent(*backend.TOOLS):
        packages = " and ".join(tool.replace("_", "-") for tool in missing)
        return f"quantizing {backend.SUFFIX} models needs {packages}; {how_to_add('device')}"
    if not found.works:
        reasons = "; ".join(f"{name}: {why}" for name, why in (found.broken | found.missing).items())
        return f"no runtime for {backend.SUFFIX} models works on this device: {reasons}"
    return ""


def serving_options(runtimes: Sequence[str], threads: Sequence[int]) -> tuple[list[ServingOption], list[str]]:
    """Every runtime with every thread count that this device has cores for, fewest threads first; and warnings."""
    cores = len(os.sched_getaffinity(0))
    fit = sorted({count for count in threads if count <= cores}) or [cores]
    many = sorted(set(threads) - set(fit))
    warnings = [f"threads = {many}: not tried because this device has {counted(cores, 'core')}"] if many else []
    return [ServingOption(runtime, count) for count in fit for runtime in runtimes], warnings
