"""The only place that opens onnxruntime: sessions with our options, and its errors in our words.

Invariants: one intra-op thread unless asked, one inter-op thread, the CPU, no telemetry (onnxruntime 1.32 else
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
"""Every exception that the runtime raises; they share no base of their own."""

_PROVIDERS = ["CPUExecutionProvider"]
_UNREADABLE = ("InvalidProtobuf", "NoSuchFile", "NoModel")
_NO_GRAPH = "No graph was found in the protobuf"
"""What an empty file is."""
_PREFIX = re.compile(
    r"\[ONNXRuntimeError\] : \d+ : \w+ : (Load model from .*? failed:)?\s*|for the following indices\s+"
)
_LACKING = ("is not a registered function/op", "Could not find an implementation")
_UNKNOWN_INPUT = "Invalid input name"
_FAILED_NODE = "Non-zero status code returned while running"
_LEAST_EXTERNAL_BYTES = "1024"
"""Of a weight that is saved beside its form, from where it is mapped; smaller ones are read with the graph."""
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
        arena: False frees every activation at once, so memory follows what is alive; slower.
        pattern: False plans no single block for all activations of a call.
        optimize: False leaves the graph as it is: for a session that never runs, or a graph that is optimised already.
        weights: the folder of the files that a serialized model refers to for its weights.
        optimized_path: where the runtime leaves the graph after its basic, hardware-independent optimisations.
        saved_path: where it leaves the graph after all of them.
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
    """An ``InferenceSession`` as a release is served: in as little memory as is no slower; raises as above.

    Optimising the graph leaves a heap of free pieces, 2 to 15 MB of what a session of 15 to 40 takes, and a plan for
    all activations takes a block of their sum beside the arena that the first call has filled: 1 to 11 MB more
    (onnxruntime 1.32, x86-64, ``tests/bench/memory_as_served.py``). An optimised form is not optimised again. It is
    known by its name, :data:`edge_agent.device.optimized_form.OPTIMIZED_FILE`.
    """
    session = create_session(model, threads=threads, pattern=False, optimize=model.name != OPTIMIZED_FILE)
    give_back()
    return session


def save_optimized(model: Path, folder: Path, *, threads: int = 1) -> Path:
    """Leave in ``folder`` the graph of ``model`` as :func:`serve` has it once it is loaded; raises as above.

    Large weights lie beside the graph. Inside it they would be parsed, and copied, at each load: of a model of 100 MB
    the peak would be 195 MiB instead of 117.
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
    except ValueError as error:  # the Python side checks that every input is there
        raise ContractError("input_missing", f"the model was not given all its inputs: {_first_line(error)}") from error
    except ERRORS as error:
        text = str(error)
        if "Unexpected input data type" in text:
            raise ContractError("dtype_mismatch", f"onnxruntime: {_first_line(error)}") from error
        if _UNKNOWN_INPUT in text:
            raise ContractError("input_missing", f"the model has no such input: {_first_line(error)}") from error
        if _FAILED_NODE in text and not any(mark in text for mark in _ALLOCATION):
            raise ModelError(
                "model_unsupported", f"the model fails on these values; correct data or model: {_first_line(error)}"
            ) from error
        if type(error).__name__ == "InvalidArgument":
            raise ContractError("shape_mismatch", f"onnxruntime: {_first_line(error)}") from error
        raise _translated(error) from error


def _spec(value: Any) -> TensorSpec:
    """An input or output; the runtime writes ``tensor(float)``, and a string or None where a dimension is dynamic."""
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
