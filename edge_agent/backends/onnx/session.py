"""The only module that opens onnxruntime: sessions with our options, and translated errors.

Invariants: one intra-op thread by default, one inter-op thread, the CPU, no telemetry (otherwise onnxruntime 1.32
writes a device id and looks up hosts when it is imported).
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from edge_agent.backends import Array, Feeds, TensorSpec
from edge_agent.backends.said import first_line
from edge_agent.device.optimized_form import OPTIMIZED_FILE, WEIGHTS_FILE
from edge_agent.errors import ContractError, ModelError
from edge_agent.process.heap import give_back

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime  # reads the variable above while it is imported
from onnxruntime.capi import onnxruntime_pybind11_state as _state

_ort: Any = onnxruntime  # its stubs do not export what its documentation does
VERSION: str = _ort.__version__
ERRORS: tuple[type[Exception], ...] = tuple(
    value for value in vars(_state).values() if isinstance(value, type) and issubclass(value, Exception)
)
"""Every exception that the runtime raises; they have no common base class."""

_PROVIDERS = ["CPUExecutionProvider"]
_UNREADABLE = ("InvalidProtobuf", "NoSuchFile", "NoModel")
_NO_GRAPH = "No graph was found in the protobuf"
"""The error for an empty file."""
_PREFIX = re.compile(
    r"\[ONNXRuntimeError\] : \d+ : \w+ : (Load model from .*? failed:)?\s*|for the following indices\s+"
)
_LACKING = ("is not a registered function/op", "Could not find an implementation")
_UNKNOWN_INPUT = "Invalid input name"
_FAILED_NODE = "Non-zero status code returned while running"
_LEAST_EXTERNAL_BYTES = "1024"
"""Smallest weight saved in a separate file, from which it is mapped; smaller ones are stored with the graph."""
_ALLOCATION = ("Failed to allocate memory", "bad allocation", "bad_alloc")


class OnnxSession:
    """A loaded model; implements :class:`edge_agent.backends.Session`."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.inputs = tuple(map(_spec, session.get_inputs()))
        self.outputs = tuple(map(_spec, session.get_outputs()))

    def run(self, feeds: Feeds) -> list[Array]:
        """All outputs, in the model's order.

        Raises:
            ContractError: ``input_missing``, ``shape_mismatch`` or ``dtype_mismatch``, if ``feeds`` do not fit the
                inputs.
            ModelError: ``model_unsupported``, if the model fails on these values.
        """
        return run_session(self._session, None, feeds)


def create_session(
    model: Path | bytes,
    *,
    threads: int = 1,
    arena: bool = True,
    pattern: bool = True,
    optimize: bool = True,
    weights: Path | None = None,
    optimized_path: Path | None = None,
    saved_path: Path | None = None,
    entries: Mapping[str, str] = MappingProxyType({}),
) -> Any:
    """An ``InferenceSession`` over a file or a serialized model.

    Args:
        model: the file, or its bytes.
        threads: intra-op threads.
        arena: False frees each activation as soon as possible: less memory, but slower.
        pattern: False does not reserve one block for all activations of a call.
        optimize: False keeps the graph unchanged: for a session that never runs, or an optimised graph.
        weights: the folder of the weight files that a serialized model refers to.
        optimized_path: where the runtime saves the graph after its basic, hardware-independent optimisations.
        saved_path: where it saves the graph after all optimisations.
        entries: session configuration entries by name.

    Raises:
        ModelError: ``model_unreadable``, ``custom_operator`` or ``model_unsupported``.
        MemoryError: the runtime could not allocate.
    """
    options = _ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = arena
    options.enable_mem_pattern = arena and pattern
    if not optimize:
        options.graph_optimization_level = _ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    for name, value in entries.items():
        options.add_session_config_entry(name, value)
    if weights is not None:
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(weights))
    if optimized_path is not None:
        options.graph_optimization_level = _ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(optimized_path)
    elif saved_path is not None:
        options.graph_optimization_level = _ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.optimized_model_filepath = str(saved_path)
    source = model if isinstance(model, bytes) else str(model)
    try:
        return _ort.InferenceSession(source, options, providers=_PROVIDERS)
    except ERRORS as error:
        raise _translated(error) from error


def serve(model: Path, *, threads: int = 1) -> Any:
    """Open an ``InferenceSession`` for serving, with the least memory that costs no speed; raises as above.

    Optimising the graph leaves freed heap memory: 2 to 15 MB of a session's 15 to 40. A memory pattern reserves a block
    for the sum of all activations, in addition to the arena of the first call: 1 to 11 MB more (onnxruntime 1.32,
    x86-64, ``tests/bench/memory_as_served.py``). An optimised form, recognised by its name
    :data:`edge_agent.device.optimized_form.OPTIMIZED_FILE`, is not optimised again.
    """
    session = create_session(model, threads=threads, pattern=False, optimize=model.name != OPTIMIZED_FILE)
    give_back()
    return session


def save_optimized(model: Path, folder: Path, *, threads: int = 1) -> Path:
    """Save in ``folder`` the graph of ``model`` as :func:`serve` optimises it; raises as above.

    Large weights go to a separate file. Inside the graph they would be parsed and copied at each load: for a model of
    100 MB, the peak would be 195 MiB instead of 117.
    """
    path = folder / OPTIMIZED_FILE
    entries = {
        "session.optimized_model_external_initializers_file_name": WEIGHTS_FILE,
        "session.optimized_model_external_initializers_min_size_in_bytes": _LEAST_EXTERNAL_BYTES,
    }
    create_session(model, threads=threads, pattern=False, saved_path=path, entries=entries)
    return path


def run_session(session: Any, outputs: list[str] | None, feeds: Feeds) -> list[Array]:
    """The named outputs (None: all) for one set of feeds; errors as :meth:`OnnxSession.run`."""
    try:
        return cast("list[Array]", session.run(outputs, dict(feeds)))
    except ValueError as error:  # the Python side checks that every input is present
        raise ContractError("input_missing", f"the model was not given all its inputs: {_first_line(error)}") from error
    except ERRORS as error:
        text = str(error)
        if "Unexpected input data type" in text:
            raise ContractError("dtype_mismatch", f"onnxruntime: {_first_line(error)}") from error
        if _UNKNOWN_INPUT in text:
            raise ContractError("input_missing", f"the model has no such input: {_first_line(error)}") from error
        if _FAILED_NODE in text and not any(mark in text for mark in _ALLOCATION):
            raise ModelError(
                "model_unsupported", f"the model fails on these values; check data and model: {_first_line(error)}"
            ) from error
        if type(error).__name__ == "InvalidArgument":
            raise ContractError("shape_mismatch", f"onnxruntime: {_first_line(error)}") from error
        raise _translated(error) from error


def _spec(value: Any) -> TensorSpec:
    """An input or output. The runtime gives ``tensor(float)``, and a string or None for a dynamic dimension."""
    element = value.type.removeprefix("tensor(").removesuffix(")")
    shape = tuple(size if isinstance(size, int) and size >= 0 else None for size in value.shape)
    return TensorSpec(value.name, {"float": "float32", "double": "float64"}.get(element, element), shape)


def _translated(error: Exception) -> Exception:
    text = str(error)
    if any(mark in text for mark in _ALLOCATION):
        return MemoryError(_first_line(error))
    if type(error).__name__ in _UNREADABLE or _NO_GRAPH in text:
        return ModelError(
            "model_unreadable", f"onnxruntime cannot read the model: {_first_line(error)}; export it again"
        )
    if any(mark in text for mark in _LACKING):
        what = f"onnxruntime {VERSION} lacks an operator: {_first_line(error)}"
        return ModelError("custom_operator", f"{what}; export with standard operators")
    what = f"onnxruntime {VERSION} refuses the model: {_first_line(error)}"
    return ModelError("model_unsupported", f"{what}; export it again, for this version")


def _first_line(error: Exception) -> str:
    return first_line(error, _PREFIX)
