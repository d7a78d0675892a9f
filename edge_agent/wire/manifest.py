"""The manifest: the document that describes one version of a model and everything that the device shall do with it.

The device decodes it from an envelope's payload; ``push-model`` builds it from the operator's TOML file. This decoder
ignores unknown fields, since a newer host may send more; the TOML reader is strict.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

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
"""The largest integer that every JSON reader represents exactly."""

Name = Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9_-]{0,62}$")]
Method = Literal["auto", "static", "dynamic", "uniform"]
RangeMethod = Literal["auto", "minmax", "percentile", "mse", "entropy"]
Preference = Literal["speed", "size", "memory", "balanced"]
Precision = Literal["int8", "fp16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
OutputKind = Literal[
    "classes", "binary", "regression", "embedding", "raw", "anomaly", "detection", "detection_head", "sequence", "mask"
]
LABELLED_KINDS: tuple[OutputKind, ...] = (
    "classes", "binary", "regression", "anomaly", "sequence", "detection", "detection_head"
)  # fmt: skip
"""The kinds that can be judged against labels."""


class Window(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model input's worth of samples: ``size`` samples. The next window begins ``hop`` samples later.

    Samples are at the contract's ``rate_hz`` if it has one, else at the source's rate.
    """

    size: Samples
    hop: Samples


class InputContract(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How sensor data become one model input: stream at ``rate_hz`` → raw window ``[size, channels]`` → steps → tensor.

    A raw window of pictures is ``[size, height, width, channels]``.

    :mod:`edge_agent.wire.steps` lists the steps and checks them.
    """

    source: str = ""
    channels: list[str] = []
    window: Window | None = None
    steps: list[dict[str, Any]] = []
    name: str = ""
    """The model input that it feeds; empty: the only one."""
    constant: Any = None
    """A fixed value for this input, in place of a source."""
    rate_hz: Rate | None = None
    """Sampling rate that the model expects; a source with another rate is resampled. None: the source's rate."""
    frame: tuple[Side, Side] | None = None
    """Height and width in pixels if a sample is a picture (uint8). None: a sample is one number per channel."""

    def shape(self, size: int, channels: int) -> tuple[int, ...]:
        """The shape of a raw window of ``size`` samples."""
        return (size, *(self.frame or ()), channels)


class Output(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The meaning of an output, and when a window agrees; None: detected, or the default of its kind."""

    kind: OutputKind | None = None
    threshold: Finite | None = None
    """binary, anomaly, mask with one score per pixel: the decision threshold; detection, detection_head: the lowest
    score that counts."""
    tolerance: NonNegative | None = None
    """regression: share of float's 1-99 % spread; raw: relative RMS; embedding: cosine; detection(_head), mask: IoU."""
    name: str = ""
    """The output to judge; empty: the first."""
    boxes: str = ""
    """detection, detection_head with separate outputs: the output with the boxes, [N, 4]. Empty: one output."""
    scores: str = ""
    """The output with the scores, [N]; detection_head: [N, C]."""
    classes: str = ""
    """The output with the classes, [N]; empty: there is one class."""
    blank: int = 0
    """sequence: the index of the blank symbol; negative: counted from the end."""
    alphabet: str = ""
    """sequence: the characters of the other symbols, in order; needed only to compare with labels."""
    head: Head | msgspec.UnsetType = msgspec.UNSET
    """detection_head: its layout; left out: detected."""

    def __post_init__(self) -> None:
        for option, kinds in _OPTIONS.items():
            if self.kind is not None and self.kind not in kinds and getattr(self, option) != _DEFAULTS[option]:
                raise ValueError(f"{option} has no meaning for kind {self.kind!r}; it is for {', '.join(kinds)}")
        separate = (self.boxes, self.scores, self.classes)
        known = self.kind in ("detection", "detection_head")
        if any(separate) and (not known or self.name or not (self.boxes and self.scores)):
            raise ValueError('boxes, scores and classes need kind = "detection" without name, boxes with scores')

    @property
    def names(self) -> list[str]:
        """The names of the model outputs that it refers to; unnamed ones are not in the list."""
        offset = self.head.offset if self.head else ""
        return [name for name in (self.name, self.boxes, self.scores, self.classes, offset) if name]

    def of_kind(self, kind: OutputKind) -> "Output":
        """Return a copy of this kind, without the options that have no meaning for it."""
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
"""option → the kinds that it applies to."""
_DEFAULTS: dict[str, Any] = {
    field.name: field.default for field in msgspec.structs.fields(Output) if field.name in _OPTIONS
}


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The methods that the quantizer may try, with how much data and time."""

    method: Method = "auto"
    calibration: RangeMethod = "auto"
    calibration_windows: Windows = 300
    search_windows: Windows = 150
    heldout_windows: Windows = 300
    search_budget_s: NonNegative = 0
    """0: max(60, 40 x one float pass over the calibration windows)."""
    threads: Annotated[tuple[Threads, ...], msgspec.Meta(min_length=1)] = (1,)
    """Thread counts to try for float and int8; the device measures which is best."""
    io: Literal["float", "int8"] = "float"
    """Type of the int8 model's own inputs and outputs; int8 needs .tflite and the static method."""
    counting: Literal["auto", "exact", "sampled"] = "auto"
    """exact: calibration counts all values of large activations; sampled: a share, drawn with a fixed seed; auto: all
    values where that is fast enough."""
    prefer: Preference = "balanced"
    """The gain over float that counts most when several candidates pass."""
    accept: Annotated[tuple[Precision, ...], msgspec.Meta(min_length=1)] = ("int8",)
    """What the candidates may be made of; with ``fp16`` the model in 16-bit floats is one of them, without ``int8`` the
    only one. The order has no meaning. It is always int8, fp16, so that equal recipes have equal digests."""

    def __post_init__(self) -> None:
        if len(set(self.accept)) < len(self.accept):
            raise ValueError("accept lists a precision twice; remove the repetition")
        msgspec.structs.force_setattr(self, "accept", tuple(one for one in PRECISIONS if one in self.accept))


AS_FLOAT = math.nextafter(1.0, 2.0)
"""``max_latency_ratio`` for a file that says 1.0: nothing else in a manifest tells a written 1.0 from the default.
Every agent treats it as 1.0, also one that does not know ``latency_margin``."""


class MinGain(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The least gain of int8 over float, as fractions of float; one axis must reach it. 0 = the axis does not count."""

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
    """For each class: the fraction of the windows which float assigns to it that int8 must assign to it, too."""
    min_gain: MinGain = MinGain()
    """All three 0: no gate."""
    latency_margin: Fraction | None = None
    """Fraction by which int8 may exceed ``max_latency_ratio`` and still pass. None: 0.02 if that limit is at its
    default, else 0. A written 1.0 without a margin is :data:`AS_FLOAT`."""
    max_memory_ratio: NonNegative | None = None
    """Memory of int8 over that of float, both as they are served; None or 0: no gate."""


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tensor that one call of the model hands to the next."""

    input: str
    output: str
    initial: Finite = 0.0
    reset: Literal["recording", "never"] = "recording"


class Blob(msgspec.Struct, frozen=True):
    """Bytes by content address: SHA-256, size in bytes, and the SHA-256 of each page of chunk digests."""

    sha256: str
    """SHA-256 of all bytes, in lower-case hex: the blob's name in topics."""
    size: int
    """Size in bytes."""
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
        """The numbers of chunks and pages."""
        if self.size <= 0:
            raise WireError("malformed", f"a blob of {self.size} bytes")
        return BlobPlan(self.size)


class Manifest(msgspec.Struct, frozen=True):
    """One version of a model. ``created`` and ``expires`` are RFC 3339 UTC."""

    namespace: str
    """The namespace of the topics that it is for; a device refuses it at any other topic."""
    name: Name
    """The model's name: the last level of its topic."""
    version: Annotated[int, msgspec.Meta(ge=1, le=MAX_VERSION)]
    """A manifest with a higher version replaces this one."""
    format: Literal["onnx", "tflite"]
    """Format of the model's file."""
    blob: Blob
    """The model's file."""
    inputs: list[InputContract] = []
    """The source of each input's data, and the steps that make a tensor of them."""
    output: Output = Output()
    """The meaning of the output, and when a window agrees."""
    recipe: Recipe = Recipe()
    """The methods that the quantizer may try."""
    gates: Gates = Gates()
    """Limits that int8 must meet."""
    state: list[State] = []
    """Tensors that one call of the model hands to the next."""
    eval: Blob | None = None
    """A labelled set (``.npz``) on which the device judges float and int8."""
    targets: list[str] = []
    """The scopes that it is addressed to, as in topics: ``d/pi-01``, ``g/lab``."""
    created: str = ""
    """Time of creation, RFC 3339 UTC."""
    expires: str = ""
    """RFC 3339 UTC; a job that is unfinished by then is canceled. Empty: never."""
    v: int = PROTOCOL
    """The protocol's version."""
    outputs: list[Output] = []
    """Several outputs, each judged by its own kind; empty: the single ``output``."""

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
        """The blobs to fetch, in this order: the model, then the labelled set if there is one."""
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
"""The features that are newer than version 0.1.0. Each new field, or new value of an old field, is one line here. So an
unused one is not encoded, ``info.features`` lists it, and a host uses it only with devices that know it."""


def encode_manifest(manifest: Manifest) -> bytes:
    """Return canonical JSON: sorted keys, no white space, and unused features left out."""
    return msgspec.json.encode(as_encoded(manifest, FEATURES), order="sorted")


def decode_manifest(data: bytes) -> Manifest:
    """Return the manifest in ``data``; raise ``WireError`` for anything else."""
    try:
        return msgspec.json.decode(data, type=Manifest)
    except UNDECODABLE as error:
        raise WireError("malformed", f"manifest: {error}") from None


def read_output(fields: Mapping[str, Any]) -> Output:
    """Return an ``[output]`` from its fields; raise ``WireError`` (malformed)."""
    try:
        return msgspec.convert(dict(fields), Output)
    except msgspec.ValidationError as error:
        raise WireError("malformed", f"output: {error}") from None
