"""The only module that opens TensorFlow Lite's interpreters: with our options, and translated errors.

Invariants:

* The number of threads is explicit, one by default; the runtime's own default is not one.
* A run is a function of its feeds: variable tensors, which keep state between calls, are reset.
* Only dimensions that the model declares dynamic are resized.
* Only finite values reach the runtime, because its integer kernels crash on NaN.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_agent.backends import Array, Feeds, TensorSpec
from edge_agent.backends.said import first_line
from edge_agent.backends.tflite.reading import Model, read_model
from edge_agent.backends.tflite.runtimes import load_runtime, runtime_version
from edge_agent.errors import ContractError, ModelError, Refusal

_UNKNOWN_OPERATOR = ("unresolved custom op", "Encountered unresolved", "Didn't find op", "Op builtin_code out of range")


@dataclass(frozen=True, slots=True)
class Grid:
    """The grid of an 8-bit input or output: its integers and the real values that they represent.

    The same arithmetic as :mod:`edge_agent.quant.affine` in fewer steps, because it adds to every call's latency.
    """

    scale: np.float32
    zero_point: np.float32
    low: np.float32
    high: np.float32
    dtype: np.dtype[Any]

    def integers(self, values: Array) -> Array:
        """The nearest integers; values outside the grid are clipped."""
        steps = np.minimum(np.maximum(values, self.low), self.high)
        steps = np.divide(steps, self.scale, dtype=np.float32)
        np.rint(steps, out=steps)
        steps += self.zero_point
        return steps.astype(self.dtype)

    def values(self, integers: Array) -> Array:
        """The real values."""
        values = integers.astype(np.float32)
        values -= self.zero_point
        values *= self.scale
        return values


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of a loaded model.

    If the model holds integers on a grid, ``grid`` is set, and feeds and outputs are real values.
    """

    name: str
    index: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    dims: tuple[int | None, ...]
    grid: Grid | None

    @property
    def spec(self) -> TensorSpec:
        """The spec of feeds and outputs: float32 if the model holds integers on a grid."""
        return TensorSpec(self.name, self.dtype.name if self.grid is None else "float32", self.dims)


class TfliteSession:
    """A loaded model; implements :class:`edge_agent.backends.Session`."""

    def __init__(self, interpreter: Any, model: Model) -> None:
        """Wrap an interpreter with allocated tensors; ``model``: the content of its file."""
        self._interpreter = interpreter
        self._inputs = _ports(model.input_names, interpreter.get_input_details())
        self._outputs = _ports(model.output_names, interpreter.get_output_details())
        self.inputs = tuple(port.spec for port in self._inputs)
        self.outputs = tuple(port.spec for port in self._outputs)
        self._known = {port.name for port in self._inputs} | {port.name.removesuffix(":0") for port in self._inputs}
        self._shapes = {port.index: port.shape for port in self._inputs}
        self._variables = any(tensor.variable for tensor in model.main.tensors)

    def run(self, feeds: Feeds) -> list[Array]:
        """All outputs, in the model's order.

        Raises:
            ContractError: ``input_missing``, ``shape_mismatch`` or ``dtype_mismatch``.
            Refusal: ``non_finite``, if a feed holds NaN or Inf.
            ModelError: ``model_unsupported``, if the model fails on these values.
        """
        self.call(feeds)
        return [self._output(port) for port in self._outputs]

    def call(self, feeds: Feeds) -> None:
        """Run the model and leave the outputs in the interpreter; errors as :meth:`run`."""
        fed = [(port, self._fed(port, feeds)) for port in self._inputs]
        if len(feeds) > len(fed) and (unknown := set(feeds) - self._known):
            raise ContractError("input_missing", f"the model has no input {min(unknown)!r}")
        try:
            self._resize(fed)
            for port, value in fed:
                self._interpreter.set_tensor(port.index, value)
            if self._variables:
                self._interpreter.reset_all_variables()
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise ModelError(
                "model_unsupported", f"the model fails on these values; check data and model: {first_line(error)}"
            ) from error

    def _resize(self, fed: list[tuple[Port, Array]]) -> None:
        """Resize inputs with a new shape; the model declares these dimensions dynamic."""
        changed = [(port, value.shape) for port, value in fed if value.shape != self._shapes[port.index]]
        for port, shape in changed:
            self._interpreter.resize_tensor_input(port.index, shape, strict=True)
        if changed:
            self._interpreter.allocate_tensors()
            self._shapes.update((port.index, shape) for port, shape in changed)

    def _fed(self, port: Port, feeds: Feeds) -> Array:
        value = _found(port.name, feeds)
        fits = len(value.shape) == len(port.dims) and all(
            want in (None, have) for have, want in zip(value.shape, port.dims, strict=True)
        )
        if not fits:
            wanted = "x".join("?" if size is None else str(size) for size in port.dims) or "a single value"
            given = "x".join(map(str, value.shape)) or "a single value"
            raise ContractError("shape_mismatch", f"the model's input {port.name!r} needs {wanted}, not {given}")
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise Refusal("non_finite", f"the data for the model's input {port.name!r} hold NaN or Inf")
        if port.grid is not None and value.dtype.kind == "f":
            return port.grid.integers(value)
        if value.dtype != port.dtype:
            raise ContractError(
                "dtype_mismatch", f"the model's input {port.name!r} needs {port.dtype.name}, not {value.dtype.name}"
            )
        return value

    def _output(self, port: Port) -> Array:
        value: Array = self._interpreter.get_tensor(port.index)
        return value if port.grid is None else port.grid.values(value)


def open_model(path: Path, *, runtime: str = "", threads: int = 1) -> TfliteSession:
    """Load a model file.

    Raises:
        ModelError: ``format_unsupported``, ``model_unreadable``, ``custom_operator`` or ``model_unsupported``.
    """
    model = read_model(path)  # first, because a truncated file makes a runtime segfault
    return TfliteSession(create_interpreter(runtime=runtime, threads=threads, model_path=str(path)), model)


def create_interpreter(*, runtime: str = "", threads: int = 1, **model: Any) -> Any:
    """Create an interpreter with allocated tensors; ``model`` is ``model_path`` or ``model_content``.

    Raises:
        ModelError: as :func:`open_model`.
    """
    interpreter_class = load_runtime(runtime)
    try:
        interpreter = interpreter_class(num_threads=threads, **model)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        text = f"{interpreter_class.__module__.partition('.')[0]} {runtime_version(runtime)}"
        if any(mark in str(error) for mark in _UNKNOWN_OPERATOR):
            what = f"{text} lacks an operator: {first_line(error)}"
            raise ModelError("custom_operator", f"{what}; export with builtin operators") from error
        raise ModelError(
            "model_unsupported", f"{text} refuses the model: {first_line(error)}; convert it again"
        ) from error
    return interpreter


def _found(name: str, feeds: Feeds) -> Array:
    for key in (name, name.removesuffix(":0"), f"{name}:0"):
        if key in feeds:
            return feeds[key]
    raise ContractError("input_missing", f"the model was not given its input {name!r}")


def _ports(names: Iterable[str], details: Iterable[Mapping[str, Any]]) -> list[Port]:
    """A port for each name; the opened graph may have additional inputs and outputs at the end."""
    return [_port(name, one) for name, one in zip(names, details, strict=False)]


def _port(name: str, details: Mapping[str, Any]) -> Port:
    signature = details.get("shape_signature")
    shape = tuple(int(size) for size in details["shape"])
    if signature is None or len(signature) != len(shape):
        signature = shape
    dims = tuple(None if wish < 0 else size for size, wish in zip(shape, signature, strict=True))
    return Port(name, details["index"], np.dtype(details["dtype"]), shape, dims, _grid(details))


def _grid(details: Mapping[str, Any]) -> Grid | None:
    dtype = np.dtype(details["dtype"])
    scales, zero_points = (np.asarray(details["quantization_parameters"][key]) for key in ("scales", "zero_points"))
    if dtype not in (np.int8, np.uint8) or scales.size != 1:
        return None
    limits, scale, zero_point = np.iinfo(dtype), np.float32(scales[0]), np.float32(zero_points[0])
    low, high = (np.float32((np.float32(end) - zero_point) * scale) for end in (limits.min, limits.max))
    return Grid(scale, zero_point, low, high, dtype)
