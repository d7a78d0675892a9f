"""The runtimes that can serve a ``.tflite`` file, and their installed versions.

A runtime is imported only on request, because each one costs memory and a measurement must contain only one.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from edge_agent.advice.installation import how_to_add
from edge_agent.errors import ModelError

RUNTIMES = ("ai-edge-litert", "tflite-runtime")
"""Distribution names, the preferred first."""
_NUMPY_2 = 2


def load_runtime(name: str = "") -> Any:
    """The runtime's ``Interpreter`` class; without a name, that of the first one installed.

    Raises:
        ModelError: ``format_unsupported``.
    """
    for candidate in (name,) if name else RUNTIMES:
        if candidate not in RUNTIMES:
            raise ModelError("format_unsupported", f"{candidate!r} cannot serve .tflite; known: {', '.join(RUNTIMES)}")
        if find_spec(_package(candidate)) is not None:
            _check_numpy(candidate)
            return import_module(f"{_package(candidate)}.interpreter").Interpreter
    what = f".tflite models need the package {name or RUNTIMES[0]}; {how_to_add('device')}"
    raise ModelError("format_unsupported", what)


def runtime_version(name: str = "") -> str:
    """The installed version of a runtime; raises as :func:`load_runtime`."""
    interpreter = load_runtime(name)
    return str(import_module(interpreter.__module__.partition(".")[0]).__version__)


def _package(name: str) -> str:
    return name.replace("-", "_")


def _check_numpy(name: str) -> None:
    # It is built against numpy 1 and crashes with numpy 2, but its metadata does not exclude numpy 2.
    if name == "tflite-runtime" and int(np.__version__.split(".")[0]) >= _NUMPY_2:
        raise ModelError(
            "format_unsupported", f"tflite-runtime crashes with numpy {np.__version__}; it needs numpy 1.26"
        )
