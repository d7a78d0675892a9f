"""The TensorFlow Lite backend: ``.tflite`` models on ai-edge-litert or tflite-runtime.

Implements :class:`edge_agent.backends.Backend`.

    flatbuffer    reads bytes of unknown origin
    schema        the numbers of the format
    reading       a file as plain values, all indices and sizes checked
    inspection    what a file holds, and whether it can be quantized
    writing       a file as objects that can be changed, and back
    preparation   one standard shape of file: names, signature, weights in float
    shared_tables tables that layers multiply by as well
    operators     which operators can be quantized
    graph         which nodes of a prepared file can be, which tensors need a range, and the weights
    taps          the float model with its activations as outputs
    rewriting     the int8 model, from ranges that we found
    recurrent     LSTMs with int8 weights
    float16       the model of which the weights are 16-bit floats
    library       what litert-quantizer is asked to do
    absent_runtime litert-quantizer without the runtime that it would load
    switching     the float model with every rounding of int8 in it, each to be switched on by itself
    soundness     proof that a rewritten file is one
    runtimes      which runtimes are installed
    session       the only place that opens one

Each function imports its file when it is called: a process that only serves a model pays for its runtime and nothing
else. [m] resident memory over numpy: tflite-runtime 3 MB, ai-edge-litert 10 MB; the generated schema, which only what
writes a file imports, 7 MB; litert-quantizer, which only ``rewrite`` imports, 28 MB and 0.3 s.
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
TOOLS = ("litert_quantizer", "ai_edge_litert")  # of the latter the schema, which is Python; its runtime need not work
JOB_COPIES = 2.0
"""The file in memory, and its weights once more in the layout of the runtime."""
SWITCHED: Sequence[Method] = ("static",)


def inspect(path: Path) -> ModelInfo:
    """What the file holds; raises ``ModelError``. No runtime sees the file here."""
    from edge_agent.backends.tflite.inspection import read_info

    return read_info(path)


def runtime_version(runtime: str = "") -> str:
    """The installed version of a runtime; raises ``ModelError`` (format_unsupported) if it is not."""
    import edge_agent.backends.tflite.session  # noqa: F401  # what opens a model: none of that shall be timed later
    from edge_agent.backends.tflite.runtimes import runtime_version as version

    return version(runtime)


def prepare(path: Path, out: Path) -> None:
    """Write the model in the shape that ``tap``, ``layers`` and ``rewrite`` want; raises ``ModelError``."""
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
    """None: the file is flat already, and its runtimes save nothing else."""
    return None


def tap(prepared: Path, names: Sequence[str] | None = None, *, runtime: str = "") -> Tap:
    """Open a prepared model with its activations as outputs; ``names`` restricts to a group of tensors."""
    from edge_agent.backends.tflite.taps import TfliteTap

    return TfliteTap(prepared, names, runtime=runtime)


def core_operators() -> tuple[str, ...]:
    """Convolutions and matrix products, and what costs next to nothing beside them."""
    from edge_agent.backends.tflite.operators import CORE

    return CORE


def product_operators() -> tuple[str, ...]:
    """Matrix products and the LSTM: the operators that dynamic quantization makes faster."""
    from edge_agent.backends.tflite.operators import PRODUCTS

    return PRODUCTS


def schemes(method: Method) -> Sequence[Scheme]:
    """Signed integers, the only ones that litert-quantizer writes, with a scale per channel and with one for all.

    The latter is faster here and there, and all that tflite-runtime has for dynamic fully connected layers. Weights
    that become float again cost no more with many scales.
    """
    by_channel, at_once = Scheme("s8s8", per_channel=True), Scheme("s8s8", per_channel=False)
    return (by_channel,) if method == "uniform" else (by_channel, at_once)


def saturates(spec: CandidateSpec) -> bool:  # noqa: ARG001  # no candidate does
    """No: these runtimes widen 8-bit integers to 16 before they multiply them, on every processor."""
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
    """None: only weights are stored in 16 bits, activations stay as they are."""
    return None


def switches(
    prepared: Path, ranges: Mapping[str, Range], spec: CandidateSpec, *, runtime: str = ""
) -> FakeQuantSwitches:
    """Open a prepared model with a switch at every place that the static candidate ``spec`` rounds."""
    from edge_agent.backends.tflite.switching import TfliteSwitches

    return TfliteSwitches(prepared, ranges, spec, runtime=runtime)


def check(original: Path, quantized: Path, *, runtime: str = "", float16: bool = False) -> dict[str, int]:
    """Prove a rewritten file sound, and count what is int8 in it; raises ``ModelError`` (rewrite_invalid)."""
    from edge_agent.backends.tflite.soundness import check_model

    return check_model(original, quantized, runtime=runtime, float16=float16)
