"""What a model format brings: open, tap, rewrite. One folder per format, found by its name.

The engine (calibration, search, gates, report) knows these types and nothing of any format.
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
"""How a candidate is made: three ways to int8, and 16-bit floats."""
Types = Literal["u8s8", "s8s8", "u8u8"]
"""The integers of activations, then those of weights: unsigned or signed, of 8 bits."""
FORMATS = {".onnx": "onnx", ".tflite": "tflite"}


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A model input or output: numpy dtype name, and shape with None where a dimension is dynamic."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What inspection found in a model file."""

    format: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    operators: Mapping[str, int]
    """Operator type → number of nodes."""
    version: str
    """The format's own version, e.g. ``opset 17``."""
    size_bytes: int
    notes: tuple[str, ...] = ()
    """What a person should know of the file: sentences, as of weights that are stored in fewer bits than they have."""
    custom: tuple[str, ...] = ()
    """Operators that are in no list of the format: a runtime here has them, another may not."""
    rounds: bool = False
    """Whether the runtime rounds activations of the file as they come, so its outputs are only near float's."""


@dataclass(frozen=True, slots=True)
class Range:
    """The closed interval that a tensor's int8 grid must cover; always finite, ``low <= 0 <= high``."""

    low: float
    high: float


class Scheme(NamedTuple):
    """How integers lie: of which types, and with one scale for each output channel of a weight or one for all of it."""

    types: Types
    per_channel: bool


@dataclass(frozen=True, slots=True)
class CandidateSpec:
    """One thing to try: how a float model shall be rewritten.

    ``operators`` empty means every operator that the method can quantize in this format; ``calibration`` is the range
    method of a static candidate, others have no ranges.
    """

    method: Method
    calibration: str = ""
    operators: tuple[str, ...] = ()
    per_channel: bool = True
    float_layers: tuple[str, ...] = ()
    """Names of nodes that stay float."""
    types: Types = "u8s8"
    io: Literal["float", "int8"] = "float"
    """Whether a static candidate's own inputs and outputs stay float, or become int8 where the format can say so."""

    @property
    def symmetric_weights(self) -> bool:
        """Whether zero lies in the middle of a weight's grid; else the grid covers just its values and zero."""
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
    """Whether it is a convolution of each channel by itself."""
    multiplies: bool = False
    """Whether it is a convolution or a matrix product, with constant weights or not: int8 is there for these."""


class Node(NamedTuple):
    """One node of a graph, quantizable or not."""

    name: str
    inputs: Sequence[str]
    """The tensors that it reads; constants may be among them."""
    outputs: Sequence[str]
    weights: float = 0
    """How many weights it multiplies by; infinite where they are in a graph of its own, as a loop's."""
    joins: bool = False
    """Whether it puts its inputs side by side, so that all are on one grid in int8."""
    operator: str = ""
    """Its type."""


class Flow(NamedTuple):
    """A whole graph."""

    nodes: Sequence[Node]
    """In an order in which they can run."""
    outputs: Sequence[str]
    """The tensors that are the model's outputs, in its order."""


class Signature(Protocol):
    """A model's ends: what :class:`ModelInfo` says of a file, and a :class:`Session` of what it has loaded."""

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
    """A float model that also gives its activations."""

    @property
    def names(self) -> Sequence[str]:
        """Every float tensor that a rewrite may need a range for: inputs, activations, outputs."""
        ...

    @property
    def same_range(self) -> Mapping[str, str]:
        """Tensors of the whole model that need not be looked at → one that must, whose range holds for them."""
        ...

    def run(self, feeds: Feeds) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Each tapped tensor's value for one row, one at a time."""
        ...


class Float16Peaks(Protocol):
    """A float model that tells how large its activations become."""

    def run(self, feeds: Feeds) -> Mapping[str, float]:
        """Tensor → the largest magnitude of its values for one row; infinite or NaN where one of them is."""
        ...


class FakeQuantSwitches(Protocol):
    """A float model that can round, place by place, as an int8 candidate of it would."""

    @property
    def needed_by(self) -> Mapping[str, Sequence[str]]:
        """Each place that int8 rounds (a tensor or a layer's weights) → the layers that, left int8, want it rounded."""
        ...

    def run(self, feeds: Feeds, rounded: Collection[str]) -> list[Array]:
        """All outputs, in the model's order, with these places rounded and all others exact."""
        ...


class Backend(Protocol):
    """A model format. Implemented by a module: ``edge_agent.backends.<format>``."""

    SUFFIX: str
    RUNTIMES: Sequence[str]
    """Every runtime that can serve the format. Where a function takes ``runtime``, an empty one is the first of these
    that is installed."""
    TOOLS: Sequence[str]
    """The packages that rewriting a model needs beside any runtime that works, by the names they are imported under."""

    JOB_COPIES: float
    """The memory that a job takes at least beside its imports, in sizes of the model's file."""
    SWITCHED: Sequence[Method]
    """The methods whose roundings :meth:`switches` knows."""

    def inspect(self, path: Path) -> ModelInfo:
        """What the file holds; raises ``ModelError`` (unreadable, unsupported, already_quantized, external_data …)."""
        ...

    def runtime_version(self, runtime: str = "") -> str:
        """The version of a runtime, which is imported; raises ``ModelError`` (format_unsupported) if it is not here."""
        ...

    def prepare(self, path: Path, out: Path) -> None:
        """Write the model in the shape that ``tap`` and ``rewrite`` want; the same function of its inputs."""
        ...

    def open(self, path: Path, *, runtime: str = "", threads: int = 1, usual: bool = False) -> Session:
        """Load a model file for inference as it is served: memory that loading has freed is given back.

        A file that :meth:`optimize` has made is loaded as it is.

        ``usual``: as an application that knows nothing of that loads it, for comparison. Raises ``ModelError``,
        ``format_unsupported`` if ``runtime`` is not here.
        """
        ...

    def optimize(self, path: Path, folder: Path, *, runtime: str = "", threads: int = 1) -> Path | None:
        """Save a model as the runtime has it once it is loaded, for this version and processor alone.

        The files have the names that :mod:`edge_agent.device.optimized_form` says; returned is the one to open. None:
        nothing of this format is worth saving. May take the process with it, as the runtime may crash on a file.
        Raises ``ModelError``.
        """
        ...

    def tap(self, prepared: Path, names: Sequence[str] | None = None, *, runtime: str = "") -> Tap:
        """Open a prepared model with its activations as outputs; ``names`` restricts to a group of tensors."""
        ...

    def core_operators(self) -> tuple[str, ...]:
        """The operators that carry the work (convolutions, matrix products) and what the runtime folds into them."""
        ...

    def product_operators(self) -> tuple[str, ...]:
        """The operators that dynamic quantization makes faster: matrix products, and what else has such a kernel."""
        ...

    def schemes(self, method: Method) -> Sequence[Scheme]:
        """What is worth trying of a method on this very processor, the most accurate first."""
        ...

    def saturates(self, spec: CandidateSpec) -> bool:
        """Whether this processor adds up the candidate's products to less than they are where these are large."""
        ...

    def layers(self, prepared: Path) -> list[Layer]:
        """The nodes that can be quantized, in graph order."""
        ...

    def flow(self, prepared: Path) -> Flow:
        """Every node of the graph, named as :meth:`layers` names those it has."""
        ...

    def rewrite(self, prepared: Path, ranges: Mapping[str, Range], spec: CandidateSpec, out: Path) -> None:
        """Write the candidate; raises ``ModelError`` (rewrite_invalid) or ``StageError`` if a range is missing."""
        ...

    def float16_peaks(self, prepared: Path) -> Float16Peaks | None:
        """Open a prepared model with the peaks of what float16 stores in 16 bits; None: it leaves activations alone."""
        ...

    def switches(
        self, prepared: Path, ranges: Mapping[str, Range], spec: CandidateSpec, *, runtime: str = ""
    ) -> FakeQuantSwitches:
        """Open a prepared model with a switch at every place that ``spec``, of a method in ``SWITCHED``, rounds."""
        ...

    def check(self, original: Path, quantized: Path, *, runtime: str = "", float16: bool = False) -> dict[str, int]:
        """Prove a rewritten file sound, and count what is int8 in it: ``{"int8_weights": n, "int8_nodes": m}``.

        ``float16``: it is the candidate of 16-bit floats. Of that both are 0, and it has ``float16_weights`` as well.
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
