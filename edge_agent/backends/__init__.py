"""The interface of a model format: open, tap, rewrite. One folder per format, found by its name.

The engine (calibration, search, gates, report) uses only these types and knows no format.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from edge_agent.advice.installation import lacking
from edge_agent.errors import ModelError

Array = NDArray[Any]
Feeds = Mapping[str, Array]
Method = Literal["static", "dynamic", "uniform", "float16"]
"""How a candidate is made: three methods for int8, and 16-bit floats."""
Types = Literal["u8s8", "s8s8", "u8u8"]
"""The 8-bit integer types of activations, then of weights: unsigned or signed."""
FORMATS = {".onnx": "onnx", ".tflite": "tflite"}


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A model input or output: numpy dtype name, and shape with None where a dimension is dynamic."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The result of inspecting a model file."""

    format: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    operators: Mapping[str, int]
    """Operator type → number of nodes."""
    version: str
    """The format's own version, e.g. ``opset 17``."""
    size_bytes: int
    notes: tuple[str, ...] = ()
    """Notes about the file for people, in sentences; for example about weights stored in reduced precision."""
    custom: tuple[str, ...] = ()
    """Custom operators: an installed runtime has them, another may not."""
    rounds: bool = False
    """Whether the runtime quantizes activations at run time, so that outputs only approximate float's."""


@dataclass(frozen=True, slots=True)
class Range:
    """The closed interval that a tensor's int8 grid must cover; always finite, ``low <= 0 <= high``."""

    low: float
    high: float


class Scheme(NamedTuple):
    """An integer format: the types, and whether a weight has one scale per output channel or one in total."""

    types: Types
    per_channel: bool


@dataclass(frozen=True, slots=True)
class CandidateSpec:
    """One candidate: how to rewrite a float model.

    Empty ``operators`` means every operator that the method can quantize in this format. ``calibration`` is the range
    method of a static candidate; other methods have no ranges.
    """

    method: Method
    calibration: str = ""
    operators: tuple[str, ...] = ()
    per_channel: bool = True
    float_layers: tuple[str, ...] = ()
    """Names of nodes that stay float."""
    types: Types = "u8s8"
    io: Literal["float", "int8"] = "float"
    """Whether a static candidate's inputs and outputs stay float, or become int8 if the format supports it."""

    @property
    def symmetric_weights(self) -> bool:
        """Whether a weight's grid is symmetric around zero; else it covers only its values and zero."""
        return self.per_channel or self.types != "u8u8"


@dataclass(frozen=True, slots=True)
class Layer:
    """One quantizable node of a model and the tensors around it."""

    name: str
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weights: Array | None = field(default=None, repr=False)
    """The float weights, or None."""
    weight_axis: int = 0
    """The output channel axis of ``weights``."""
    depthwise: bool = False
    """Whether it is a depthwise convolution."""
    multiplies: bool = False
    """Whether it is a convolution or a matrix product, with constant weights or not: the main targets of int8."""


class Node(NamedTuple):
    """One node of a graph, quantizable or not."""

    name: str
    inputs: Sequence[str]
    """The tensors that it reads, including constants."""
    outputs: Sequence[str]
    weights: float = 0
    """Number of weights that it multiplies by; infinite if they are in an inner graph, as in a loop."""
    joins: bool = False
    """Whether it concatenates its inputs, so that all share one grid in int8."""
    operator: str = ""
    """Its operator type."""


class Flow(NamedTuple):
    """The nodes of a whole graph."""

    nodes: Sequence[Node]
    """In a valid execution order."""
    outputs: Sequence[str]
    """The tensors that are the model's outputs, in its order."""


class Signature(Protocol):
    """A model's inputs and outputs, as :class:`ModelInfo` and :class:`Session` have them."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Every input, in the model's order."""
        ...

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Every output, in the model's order."""
        ...


class Session(Signature, Protocol):
    """A loaded model."""

    def run(self, feeds: Feeds) -> list[Array]:
        """All outputs, in the model's order."""
        ...


class Tap(Protocol):
    """A float model that also returns its activations."""

    @property
    def names(self) -> Sequence[str]:
        """Every float tensor that a rewrite may need a range for: inputs, activations, outputs."""
        ...

    @property
    def same_range(self) -> Mapping[str, str]:
        """Tensor that needs no observer → the observed tensor whose range applies to it; for the whole model."""
        ...

    def run(self, feeds: Feeds) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Yield each tapped tensor's value for one row."""
        ...


class Float16Peaks(Protocol):
    """A float model that returns the peaks of its activations."""

    def run(self, feeds: Feeds) -> Mapping[str, float]:
        """Tensor → the largest magnitude of its values for one row; infinite or NaN if a value is."""
        ...


class FakeQuantSwitches(Protocol):
    """A float model in which each rounding of an int8 candidate can be switched on separately."""

    @property
    def needed_by(self) -> Mapping[str, Sequence[str]]:
        """Place that int8 rounds (a tensor or a layer's weights) → the layers that, in int8, need it rounded."""
        ...

    def run(self, feeds: Feeds, rounded: Collection[str]) -> list[Array]:
        """All outputs, in the model's order, with only these places rounded."""
        ...


class Backend(Protocol):
    """A model format. Implemented by a module: ``edge_agent.backends.<format>``."""

    SUFFIX: str
    RUNTIMES: Sequence[str]
    """Every runtime that can serve the format. An empty ``runtime`` argument means the first of these that is
    installed."""
    TOOLS: Sequence[str]
    """Import names of the packages that rewriting needs in addition to a working runtime."""

    JOB_COPIES: float
    """The least memory of a job without its imports, in multiples of the model's file size."""
    SWITCHED: Sequence[Method]
    """The methods that :meth:`switches` supports."""

    def inspect(self, path: Path) -> ModelInfo:
        """Inspect a file; raises ``ModelError`` (unreadable, unsupported, already_quantized, external_data …)."""
        ...

    def runtime_version(self, runtime: str = "") -> str:
        """Import a runtime and return its version; raises ``ModelError`` (format_unsupported) if it is missing."""
        ...

    def prepare(self, path: Path, out: Path) -> None:
        """Write the model in the form that ``tap`` and ``rewrite`` need; it computes the same function."""
        ...

    def open(self, path: Path, *, runtime: str = "", threads: int = 1, usual: bool = False) -> Session:
        """Load a model file for inference as it is served: memory freed by loading is returned to the system.

        A file from :meth:`optimize` is not optimised again. ``usual``: load with the runtime's defaults, as an ordinary
        application does, for comparison. Raises ``ModelError``, ``format_unsupported`` if ``runtime`` is missing.
        """
        ...

    def optimize(self, path: Path, folder: Path, *, runtime: str = "", threads: int = 1) -> Path | None:
        """Save the runtime's optimised graph of a model; it fits only this runtime version and processor.

        Returns the file to open; None if the format has no optimised form. The file names are those of
        :mod:`edge_agent.device.optimized_form`. Raises ``ModelError``. The runtime may crash on a file and end the
        process.
        """
        ...

    def tap(self, prepared: Path, names: Sequence[str] | None = None, *, runtime: str = "") -> Tap:
        """Open a prepared model with its activations as outputs; ``names`` restricts to a group of tensors."""
        ...

    def core_operators(self) -> tuple[str, ...]:
        """The operators that do most of the work (convolutions, matrix products), and those fused into them."""
        ...

    def product_operators(self) -> tuple[str, ...]:
        """The operators that dynamic quantization makes faster: matrix products, and others with such a kernel."""
        ...

    def schemes(self, method: Method) -> Sequence[Scheme]:
        """The schemes of a method that are worth trying on this processor, the most accurate first."""
        ...

    def saturates(self, spec: CandidateSpec) -> bool:
        """Whether this processor saturates when it sums the candidate's large products."""
        ...

    def layers(self, prepared: Path) -> list[Layer]:
        """The nodes that can be quantized, in graph order."""
        ...

    def flow(self, prepared: Path) -> Flow:
        """Every node of the graph, with the names of :meth:`layers`."""
        ...

    def rewrite(self, prepared: Path, ranges: Mapping[str, Range], spec: CandidateSpec, out: Path) -> None:
        """Write the candidate; raises ``ModelError`` (rewrite_invalid) or ``StageError`` if a range is missing."""
        ...

    def float16_peaks(self, prepared: Path) -> Float16Peaks | None:
        """Open a prepared model that returns activation peaks; None if float16 leaves activations in 32 bits."""
        ...

    def switches(
        self, prepared: Path, ranges: Mapping[str, Range], spec: CandidateSpec, *, runtime: str = ""
    ) -> FakeQuantSwitches:
        """Open a prepared model with a switch at every place that ``spec``, of a ``SWITCHED`` method, rounds."""
        ...

    def check(self, original: Path, quantized: Path, *, runtime: str = "", float16: bool = False) -> dict[str, int]:
        """Prove a rewritten file sound, and count its int8 parts: ``{"int8_weights": n, "int8_nodes": m}``.

        ``float16``: the file is the float16 candidate. Both are 0 for it, and it has ``float16_weights`` as well.
        """
        ...


def load(model_format: str) -> Backend:
    """The backend of a format; raises ``ModelError`` with ``format_unsupported``."""
    try:
        module = import_module(f"{__name__}.{model_format}")
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}.{model_format}":
            what = lacking([error.name or ""]) or f"the package {error.name} is not installed"
            raise ModelError("format_unsupported", f".{model_format} models: {what}") from error
        raise ModelError("format_unsupported", f"this agent cannot quantize .{model_format} models yet") from None
    return cast("Backend", module)
