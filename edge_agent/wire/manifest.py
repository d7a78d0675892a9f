"""The manifest: the document that describes one version of a model and everything the device is asked to do with it.

The device decodes it from an envelope's payload; ``push-model`` builds it from the operator's TOML file. Unknown
fields are ignored here (a newer host may say more); the TOML reader is strict.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from edge_agent.errors import WireError
from edge_agent.strict import UNDECODABLE
from edge_agent.wire.chunks import BlobPlan, check_digest
from edge_agent.wire.detection_head import Head
from edge_agent.wire.features import Feature, as_encoded
from edge_agent.wire.numbers import Finite, Fraction, NonNegative, Rate, Samples, Side, Threads, Windows
from edge_agent.wire.several_outputs import ONE_OR_SEVERAL, check_apart
from edge_agent.wire.topics import check_name

PROTOCOL = 1
MAX_VERSION = 2**53 - 1
"""What every reader of JSON can hold."""

Name = Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9_-]{0,62}$")]
Method = Literal["auto", "static", "dynamic", "uniform"]
RangeMethod = Literal["auto", "minmax", "percentile", "mse", "entropy"]
Preference = Literal["speed", "size", "memory", "balanced"]
Precision = Literal["int8", "fp16"]
OutputKind = Literal[
    "classes", "binary", "regression", "embedding", "raw", "anomaly", "detection", "detection_head", "sequence", "mask"
]
LABELLED_KINDS: tuple[OutputKind, ...] = (
    "classes", "binary", "regression", "anomaly", "sequence", "detection", "detection_head"
)  # fmt: skip
"""The kinds that labels can say something of."""


class Window(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model input's worth of samples: ``size`` samples, the next window begins ``hop`` samples later.

    Samples of the contract's ``rate_hz`` if it has one, else of the source's.
    """

    size: Samples
    hop: Samples


class InputContract(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How sensor data become one model input: stream at ``rate_hz`` → raw window ``[size, channels]`` → steps → tensor.

    Of pictures a raw window is ``[size, height, width, channels]``.

    What steps there are and how they are checked: :mod:`edge_agent.wire.steps`.
    """

    source: str = ""
    channels: list[str] = []
    window: Window | None = None
    steps: list[dict[str, Any]] = []
    name: str = ""
    """The model input this feeds; empty: the only one."""
    constant: Any = None
    """A fixed value for this input instead of a source."""
    rate_hz: Rate | None = None
    """Samples a second that the model was made for: a source of another rate is resampled. None: as the source."""
    frame: tuple[Side, Side] | None = None
    """A sample is a picture of this height and width (uint8), not one number a channel."""

    def shape(self, size: int, channels: int) -> tuple[int, ...]:
        """The shape of a raw window of ``size`` samples."""
        return (size, *(self.frame or ()), channels)


class Output(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the model's first output means, and when a window agrees; None: found or the default of its kind."""

    kind: OutputKind | None = None
    threshold: Finite | None = None
    """binary, anomaly: the decision threshold; detection, detection_head: the least score that counts; mask of one
    score a pixel."""
    tolerance: NonNegative | None = None
    """regression: part of float's 1-99 % spread; raw: relative RMS; embedding: cosine; detection(_head), mask: IoU."""
    name: str = ""
    """The output to judge; empty: the first."""
    boxes: str = ""
    """detection, detection_head with separate outputs: the one with the boxes, [N, 4]. Empty: one output."""
    scores: str = ""
    """The one with the scores, [N]; detection_head: [N, C]."""
    classes: str = ""
    """The one with the classes, [N]; empty: there is one class."""
    blank: int = 0
    """sequence: the symbol that stands for none; negative: counted from the end."""
    alphabet: str = ""
    """sequence: the characters of the other symbols, in order; needed only to compare with labels."""
    head: Head | msgspec.UnsetType = msgspec.UNSET
    """detection_head: how it is laid out; left out: found."""

    def __post_init__(self) -> None:
        for option, kinds in _OPTIONS.items():
            if self.kind is not None and self.kind not in kinds and getattr(self, option) != _DEFAULTS[option]:
                raise ValueError(f"{option} means nothing to kind {self.kind!r}; it is for {', '.join(kinds)}")
        separate = (self.boxes, self.scores, self.classes)
        known = self.kind in ("detection", "detection_head")
        if any(separate) and (not known or self.name or not (self.boxes and self.scores)):
            raise ValueError('boxes, scores and classes need kind = "detection" without name, boxes with scores')

    @property
    def names(self) -> list[str]:
        """The model's outputs that it is about, as far as it names them."""
        offset = self.head.offset if self.head else ""
        return [name for name in (self.name, self.boxes, self.scores, self.classes, offset) if name]

    def of_kind(self, kind: OutputKind) -> "Output":
        """The same with its kind, without the options that mean nothing to it."""
        stray = {option: _DEFAULTS[option] for option, kinds in _OPTIONS.items() if kind not in kinds}
        return msgspec.structs.replace(self, kind=kind, **stray)


_OPTIONS: dict[str, tuple[OutputKind, ...]] = {
    "threshold": ("binary", "anomaly", "detection", "detection_head", "mask"),
    "tolerance": ("regression", "embedding", "raw", "detection", "detection_head", "mask"),
    "boxes": ("detection", "detection_head"),
    "scores": ("detection", "detection_head"),
    "classes": ("detection",),
    "blank": ("sequence",),
    "alphabet": ("sequence",),
    "head": ("detection_head",),
}
"""Which kinds an option means something to."""
_DEFAULTS: dict[str, Any] = {
    field.name: field.default for field in msgspec.structs.fields(Output) if field.name in _OPTIONS
}


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the quantizer may try, and with how much data and time."""

    method: Method = "auto"
    calibration: RangeMethod = "auto"
    calibration_windows: Windows = 300
    search_windows: Windows = 150
    heldout_windows: Windows = 300
    search_budget_s: NonNegative = 0
    """0: max(60, 40 x one float pass over the calibration windows)."""
    threads: Annotated[tuple[Threads, ...], msgspec.Meta(min_length=1)] = (1,)
    """Thread counts that float and int8 may be served with; which is best is measured."""
    io: Literal["float", "int8"] = "float"
    """What the int8 model's own inputs and outputs are; int8 is for .tflite and the static method."""
    counting: Literal["auto", "exact", "sampled"] = "auto"
    """Which values of large activations calibration counts: all, or a share drawn with a fixed seed; auto: all where
    that does not take long."""
    prefer: Preference = "balanced"
    """Which gain over float counts most where several candidates pass."""
    accept: Annotated[tuple[Precision, ...], msgspec.Meta(min_length=1)] = ("int8",)
    """What the candidates may be made of; with ``fp16`` the model in 16-bit floats is one of them, without ``int8`` the
    only one."""


AS_FLOAT = math.nextafter(1.0, 2.0)
"""``max_latency_ratio`` where somebody wrote 1.0: in a manifest nothing else tells it from the default. Every agent
holds to it as to 1.0, also one that knows no ``latency_margin``."""


class MinGain(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What int8 must gain over float on one axis at least, as fractions of float's; 0 = that axis does not count."""

    time: Fraction = 0.05
    size: Fraction = 0.2
    memory: Fraction = 0.2


class Gates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits that a candidate must meet; 0 = no gate; None = the default, which may depend on the output's kind."""

    min_agreement: Fraction | None = None
    max_accuracy_drop: NonNegative | None = None
    min_sqnr_db: NonNegative | None = None
    max_latency_ratio: NonNegative = 1.0
    max_size_ratio: NonNegative = 1.0
    max_peak_rss_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0
    min_class_recall: Fraction | None = None
    """Share of the windows that float gives a class to which int8 must give it, too, for each class."""
    min_gain: MinGain = MinGain()
    """All three 0: no gate."""
    latency_margin: Fraction | None = None
    """Fraction by which ``max_latency_ratio`` may be exceeded and int8 still counts as not slower. None: 0.02 where
    that limit is at its default, else 0. A written 1.0 without a margin is :data:`AS_FLOAT`."""
    max_memory_ratio: NonNegative | None = None
    """What int8 keeps of the memory that float keeps, both as they are served; None or 0: no gate."""


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tensor that the model hands from one call to the next."""

    input: str
    output: str
    initial: Finite = 0.0
    reset: Literal["recording", "never"] = "recording"


class Blob(msgspec.Struct, frozen=True):
    """Bytes by content address: SHA-256, size in bytes, and the SHA-256 of each page of chunk digests."""

    sha256: str
    """Of all its bytes, in lower-case hex: its name in topics."""
    size: int
    """In bytes."""
    pages: list[str]
    """SHA-256 of each page of chunk digests."""

    def __post_init__(self) -> None:
        check_digest(self.sha256)
        for page in self.pages:
            check_digest(page)
        if len(self.pages) != self.plan.pages:
            raise WireError("malformed", f"{len(self.pages)} digest pages for a blob of {self.size} bytes")

    @property
    def plan(self) -> BlobPlan:
        """The chunks and pages that follow from the size."""
        if self.size <= 0:
            raise WireError("malformed", f"a blob of {self.size} bytes")
        return BlobPlan(self.size)


class Manifest(msgspec.Struct, frozen=True):
    """One version of a model. ``created`` and ``expires`` are RFC 3339 UTC."""

    namespace: str
    """The topics that it is for: one that lies elsewhere is not obeyed."""
    name: Name
    """The model's name: the last level of its topic."""
    version: Annotated[int, msgspec.Meta(ge=1, le=MAX_VERSION)]
    """A higher one replaces this one."""
    format: Literal["onnx", "tflite"]
    """Of the model's file."""
    blob: Blob
    """The model's file."""
    inputs: list[InputContract] = []
    """Where each input's data come from, and how they become a tensor."""
    output: Output = Output()
    """What the output means, and when a window agrees."""
    recipe: Recipe = Recipe()
    """What the quantizer may try."""
    gates: Gates = Gates()
    """What int8 must meet."""
    state: list[State] = []
    """Tensors that the model hands from one call to the next."""
    eval: Blob | None = None
    """A labelled set (``.npz``) that the device judges float and int8 with."""
    targets: list[str] = []
    """Scopes it is addressed to, as in topics: ``d/pi-01``, ``g/lab``."""
    created: str = ""
    """RFC 3339 UTC."""
    expires: str = ""
    """RFC 3339 UTC; a job that has not ended by then is canceled. Empty: never."""
    v: int = PROTOCOL
    """The protocol's version."""
    outputs: list[Output] = []
    """Several outputs, each judged by its own kind; empty: the one of ``output``."""

    def __post_init__(self) -> None:
        if self.v != PROTOCOL:
            raise WireError("protocol_version", f"manifest of protocol {self.v}; this side speaks {PROTOCOL}")
        check_name(self.name, "model")
        if self.outputs and self.output != Output():
            raise WireError("malformed", f"manifest: {ONE_OR_SEVERAL}")
        try:
            check_apart(output.names for output in self.outputs)
        except ValueError as error:
            raise WireError("malformed", f"manifest: {error}") from None

    @property
    def blobs(self) -> list[Blob]:
        """What has to be fetched, in this order: the model, then the labelled set if there is one."""
        return [self.blob] if self.eval is None else [self.blob, self.eval]


def _has_letterbox(steps: list[dict[str, Any]]) -> bool:
    return any(step.get("op") == "letterbox" for step in steps)


FEATURES = (
    Feature("outputs", "[[outputs]]", Manifest, "outputs"),
    Feature("min_class_recall", "[gates] min_class_recall", Gates, "min_class_recall"),
    Feature(
        "detection_head", '[output] kind = "detection_head"', Output, "kind", lambda kind: kind == "detection_head"
    ),
    Feature("head", "[output] head", Output, "head"),
    Feature("letterbox", "the step letterbox", InputContract, "steps", _has_letterbox),
    Feature("min_gain", "[gates] min_gain", Gates, "min_gain"),
    Feature("latency_margin", "[gates] latency_margin", Gates, "latency_margin"),
    Feature("max_memory_ratio", "[gates] max_memory_ratio", Gates, "max_memory_ratio"),
    Feature("prefer", "[recipe] prefer", Recipe, "prefer"),
    Feature("accept", "[recipe] accept", Recipe, "accept"),
)
"""What came after version 0.1.0: a new field, or a new word of an old one, is one line here, and so is left out of the
bytes where it is not used, stands in ``info.features``, and is asked only of devices that know it."""


def encode_manifest(manifest: Manifest) -> bytes:
    """Canonical JSON: keys sorted, no white space; what came after version 0.1.0 only where it is used."""
    return msgspec.json.encode(as_encoded(manifest, FEATURES), order="sorted")


def decode_manifest(data: bytes) -> Manifest:
    """The manifest in ``data``; raises ``WireError`` for anything else."""
    try:
        return msgspec.json.decode(data, type=Manifest)
    except UNDECODABLE as error:
        raise WireError("malformed", f"manifest: {error}") from None


def read_output(fields: Mapping[str, Any]) -> Output:
    """An ``[output]`` from its fields; raises ``WireError`` (malformed)."""
    try:
        return msgspec.convert(dict(fields), Output)
    except msgspec.ValidationError as error:
        raise WireError("malformed", f"output: {error}") from None
