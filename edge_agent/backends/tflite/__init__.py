"""The TensorFlow Lite backend: ``.tflite`` models on ai-edge-litert or tflite-runtime.

Implements :class:`edge_agent.backends.Backend`.

    flatbuffer    a checked reader for bytes of unknown origin
    schema        the numbers of the format
    reading       a file as plain values, with all indices and sizes checked
    inspection    the content of a file, and whether it can be quantized
    writing       a file as mutable objects, and back
    preparation   one standard form of file: names, signature, weights in float
    shared_tables tables that are also weights of layers
    operators     which operators can be quantized
    graph         quantizable nodes of a prepared file, tensors that need a range, weights
    taps          the float model with its activations as outputs
    rewriting     the int8 model, from our ranges
    recurrent     LSTMs with int8 weights
    float16       the model with 16-bit float weights
    library       the calls of litert-quantizer
    absent_runtime litert-quantizer without its runtime
    switching     the float model with a switch for every int8 rounding
    soundness     checks of a rewritten file
    runtimes      the installed runtimes
    session       the only module that opens one

Each function imports its file when it is called, so that a process that only serves a model loads only its runtime.
Measured resident memory beyond numpy: tflite-runtime 3 MB; ai-edge-litert 10 MB; the generated schema, imported only to
write files, 7 MB; litert-quantizer, imported only by ``rewrite``, 28 MB and 0.3 s.
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

SUFFIX = ".tflite"
RUNTIMES = ("ai-edge-litert", "tflite-runtime")
TOOLS = ("litert_quantizer", "ai_edge_litert")  # the latter for its schema, in Python; its runtime need not work
JOB_COPIES = 2.0
"""The file in memory, and its weights again in the runtime's layout."""
SWITCHED: Sequence[Method] = ("static",)


def inspect(path: Path) -> ModelInfo:
    """Inspect a file; raises ``ModelError``. No runtime opens the file here."""
    from edge_agent.backends.tflite.inspection import read_info

    return read_info(path)


def runtime_version(runtime: str = "") -> str:
    """The version of an installed runtime; raises ``ModelError`` (format_unsupported) if it is missing."""
    import edge_agent.backends.tflite.session  # noqa: F401  # imported now, so that timing a load later excludes it
    from edge_agent.backends.tflite.runtimes import runtime_version as version

    return version(runtime)


def prepare(path: Path, out: Path) -> None:
    """Write the model in the form that ``tap``, ``layers`` and ``rewrite`` need; raises ``ModelError``."""
    from edge_agent.backends.tflite.preparation import prepare_model

    prepare_model(path, out)


def open(path: Path, *, runtime: str = "", threads: int = 1, usual: bool = False) -> Session:  # noqa: A001  # the protocol's word
    """Load a model file for inference, by default on the first runtime installed; raises ``ModelError``."""
    from edge_agent.backends.tflite.session import open_model
    from edge_agent.process.heap import give_back

    session = open_model(path, runtime=runtime, threads=threads)
    if not usual:
        give_back()
    return session


def optimize(path: Path, folder: Path, *, runtime: str = "", threads: int = 1) -> Path | None:  # noqa: ARG001
    """Return None: the file is flat already, and its runtimes have no optimised form."""
    return None


def tap(prepared: Path, names: Sequence[str] | None = None, *, runtime: str = "") -> Tap:
    """Open a prepared model with its activations as outputs; ``names`` restricts to a group of tensors."""
    from edge_agent.backends.tflite.taps import TfliteTap

    return TfliteTap(prepared, names, runtime=runtime)


def core_operators() -> tuple[str, ...]:
    """Convolutions and matrix products, and operators with negligible cost."""
    from edge_agent.backends.tflite.operators import CORE

    return CORE


def product_operators() -> tuple[str, ...]:
    """Matrix products and the LSTM: the operators that dynamic quantization makes faster."""
    from edge_agent.backends.tflite.operators import PRODUCTS

    return PRODUCTS


def schemes(method: Method) -> Sequence[Scheme]:
    """Signed integers, the only ones that litert-quantizer writes, with a scale per channel and with one for all.

    One scale is sometimes faster, and tflite-runtime supports nothing else for dynamic fully connected layers. Weights
    that become float again cost no more with many scales.
    """
    by_channel, at_once = Scheme("s8s8", per_channel=True), Scheme("s8s8", per_channel=False)
    return (by_channel,) if method == "uniform" else (by_channel, at_once)


def saturates(spec: CandidateSpec) -> bool:  # noqa: ARG001  # no candidate does
    """Return False: on every processor, these runtimes widen 8-bit integers to 16 bits before they multiply them."""
    return False


def layers(prepared: Path) -> list[Layer]:
    """The nodes that can be quantized, in graph order."""
    from edge_agent.backends.tflite.graph import read_layers

    return read_layers(prepared)


def flow(prepared: Path) -> Flow:
    """Every node of the graph, quantizable or not."""
    from edge_agent.backends.tflite.graph import read_flow

    return read_flow(prepared)


def rewrite(prepared: Path, ranges: Mapping[str, Range], spec: CandidateSpec, out: Path) -> None:
    """Write the candidate; raises ``StageError`` (a range is missing) or ``ModelError`` (rewrite_invalid)."""
    if spec.method == "float16":
        from edge_agent.backends.tflite.float16 import rewrite_float16

        rewrite_float16(prepared, out)
    else:
        from edge_agent.backends.tflite.rewriting import rewrite_model

        rewrite_model(prepared, ranges, spec, out)


def float16_peaks(prepared: Path) -> Float16Peaks | None:  # noqa: ARG001  # of every model alike
    """Return None: only weights are stored in 16 bits, activations stay in 32 bits."""
    return None


def switches(
    prepared: Path, ranges: Mapping[str, Range], spec: CandidateSpec, *, runtime: str = ""
) -> FakeQuantSwitches:
    """Open a prepared model with a switch at every place that the static candidate ``spec`` rounds."""
    from edge_agent.backends.tflite.switching import TfliteSwitches

    return TfliteSwitches(prepared, ranges, spec, runtime=runtime)


def check(original: Path, quantized: Path, *, runtime: str = "", float16: bool = False) -> dict[str, int]:
    """Prove a rewritten file sound, and count its int8 parts; raises ``ModelError`` (rewrite_invalid)."""
    from edge_agent.backends.tflite.soundness import check_model

    return check_model(original, quantized, runtime=runtime, float16=float16)
