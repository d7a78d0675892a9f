"""The ONNX backend: ``.onnx`` models on onnxruntime. Implements :class:`edge_agent.backends.Backend`.

    skeleton      a file without its weights
    mapped_weights a file with large weights mapped by the kernel
    inspection    the content of a file, read from its skeleton and without the runtime
    stored_weights whether a model's weights are integers already
    preparation   one standard form of graph: opset, constants and batch norm folded, types known, nodes named
    names         unique names of tensors and nodes
    tensor_types  the type of every tensor
    operators     which operators can be quantized
    arithmetic    which integer types this processor multiplies exactly
    graph         quantizable nodes of a prepared graph, tensors that need a range, weights
    inner         layers inside If, Loop and Scan
    taps          the float model with its activations as outputs
    rewriting     the static int8 model in QDQ form, from our ranges
    dynamic       the int8 model that quantizes activations at run time
    recurrent     the LSTM of the dynamic model
    uniform       the model with int8 weights only
    float16       the model of 16-bit floats
    peaks         peaks of the activations that it would store
    sharing       equal weights, and a model that stores each once
    shared_biases biases that several layers of the static model add
    tables        rows of an integer table, read as floats
    static_tables tables that are also weights of the static model's layers
    surgery       replaces nodes by nodes that read integer weights
    prevent_requantization float layers that the runtime would round on its own
    switching     the float model with a switch for every int8 rounding
    soundness     checks of a rewritten file
    session       the only module that opens the runtime

Each function imports its file when it is called. A process that only serves a model must not load ``onnx``
(protobuf), and only ``rewrite`` may load ``onnxruntime.quantization``.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from edge_agent.backends import (
    CandidateSpec,
    FakeQuantSwitches,
    Float16Peaks,
    Flow,
    Layer,
    Method,
    ModelInfo,
    Range,
    Scheme,
    Session,
    Tap,
)
from edge_agent.errors import ModelError

SUFFIX = ".onnx"
RUNTIMES = ("onnxruntime",)
TOOLS = ("onnx", "onnxruntime")
JOB_COPIES = 2.5
"""A model of 98 MiB passes where a worker may have 320 MiB, and fails at 256 while it is prepared."""
SWITCHED: Sequence[Method] = ("static", "dynamic")


def inspect(path: Path) -> ModelInfo:
    """Inspect a file; raises ``ModelError``. The runtime opens the file only if an operator is unknown."""
    from edge_agent.backends.onnx.inspection import read_info

    return read_info(path)


def runtime_version(runtime: str = "") -> str:  # noqa: ARG001  # there is one
    """The installed onnxruntime's version."""
    from edge_agent.backends.onnx.session import VERSION

    return VERSION


def prepare(path: Path, out: Path) -> None:
    """Write the model in the form that ``tap``, ``layers`` and ``rewrite`` need; raises ``ModelError``."""
    from edge_agent.backends.onnx.preparation import prepare_model

    prepare_model(path, out)


def open(path: Path, *, runtime: str = "", threads: int = 1, usual: bool = False) -> Session:  # noqa: A001  # the protocol's word
    """Load a model file for inference; raises ``ModelError``."""
    if runtime not in ("", *RUNTIMES):
        raise ModelError("format_unsupported", f"{runtime!r} does not run .onnx models; {', '.join(RUNTIMES)} does")
    from edge_agent.backends.onnx.session import OnnxSession, create_session, serve

    return OnnxSession(create_session(path, threads=threads) if usual else serve(path, threads=threads))


def optimize(path: Path, folder: Path, *, runtime: str = "", threads: int = 1) -> Path | None:  # noqa: ARG001  # one
    """Save the optimised form of a model in ``folder``; raises ``ModelError``."""
    from edge_agent.backends.onnx.session import save_optimized

    return save_optimized(path, folder, threads=threads)


def tap(prepared: Path, names: Sequence[str] | None = None, *, runtime: str = "") -> Tap:  # noqa: ARG001  # one
    """Open a prepared model with its activations as outputs; ``names`` restricts to a group of tensors."""
    from edge_agent.backends.onnx.taps import OnnxTap

    return OnnxTap(prepared, names)


def core_operators() -> tuple[str, ...]:
    """Convolutions, matrix products, and the activations that onnxruntime fuses into them."""
    from edge_agent.backends.onnx.operators import CORE

    return CORE


def product_operators() -> tuple[str, ...]:
    """Matrix products and LSTMs: the operators that dynamic quantization makes faster."""
    from edge_agent.backends.onnx.operators import AS_THEY_COME

    return AS_THEY_COME


def schemes(method: Method) -> Sequence[Scheme]:
    """Per channel with the types that this processor multiplies exactly; static also per tensor, which is faster."""
    from edge_agent.backends.onnx.arithmetic import worth_trying

    return worth_trying(method)


def saturates(spec: CandidateSpec) -> bool:
    """Whether this processor saturates when it sums the candidate's large products."""
    from edge_agent.backends.onnx import arithmetic

    return spec.types == "u8s8" and spec.method != "uniform" and arithmetic.saturates()


def layers(prepared: Path) -> list[Layer]:
    """The nodes that can be quantized, in graph order."""
    from edge_agent.backends.onnx.graph import read_layers

    return read_layers(prepared)


def flow(prepared: Path) -> Flow:
    """Every node of the graph, quantizable or not."""
    from edge_agent.backends.onnx.graph import read_flow

    return read_flow(prepared)


def rewrite(prepared: Path, ranges: Mapping[str, Range], spec: CandidateSpec, out: Path) -> None:
    """Write the candidate; raises ``StageError`` (a range is missing) or ``ModelError`` (rewrite_invalid)."""
    match spec.method:
        case "static":
            from edge_agent.backends.onnx.rewriting import rewrite_model

            rewrite_model(prepared, ranges, spec, out)
        case "dynamic":
            from edge_agent.backends.onnx.dynamic import rewrite_dynamic

            rewrite_dynamic(prepared, spec, out)
        case "uniform":
            from edge_agent.backends.onnx.uniform import rewrite_uniform

            rewrite_uniform(prepared, spec, out)
        case "float16":
            from edge_agent.backends.onnx.float16 import rewrite_float16

            rewrite_float16(prepared, out)


def float16_peaks(prepared: Path) -> Float16Peaks | None:
    """Open a prepared model that returns the largest magnitude of each activation of its main graph."""
    from edge_agent.backends.onnx.peaks import OnnxPeaks

    return OnnxPeaks(prepared)


def switches(
    prepared: Path,
    ranges: Mapping[str, Range],
    spec: CandidateSpec,
    *,
    runtime: str = "",  # noqa: ARG001  # there is one
) -> FakeQuantSwitches:
    """Open a prepared model with a switch at every place that the static or dynamic candidate ``spec`` rounds."""
    from edge_agent.backends.onnx.switching import OnnxSwitches

    return OnnxSwitches(prepared, ranges, spec)


def check(
    original: Path,
    quantized: Path,
    *,
    runtime: str = "",  # noqa: ARG001  # there is one
    float16: bool = False,
) -> dict[str, int]:
    """Prove a rewritten file sound, and count its int8 parts; raises ``ModelError`` (rewrite_invalid)."""
    from edge_agent.backends.onnx.soundness import check_model

    return check_model(original, quantized, float16=float16)
