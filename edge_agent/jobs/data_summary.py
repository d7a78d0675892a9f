"""The result object's part about a job's data: sets, their sufficiency, findings. Values only."""

from typing import Any

import msgspec

from edge_agent.jobs.measured_outputs import DetectionsKept, OutputSummary
from edge_agent.wire.manifest import Output


class SetSummary(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One set of windows."""

    windows: int
    samples: int | None = None
    seconds: float | None = None
    blocks: int | None = None
    """Separate intervals of time."""
    windows_effective: float | None = None
    """Equivalent number of independent windows."""


class Metric(msgspec.Struct, frozen=True):
    """One metric of float and of int8; None: not available, for example where an output is not finite."""

    name: str
    reference: float | None = msgspec.field(name="float")
    target: float | None = msgspec.field(name="int8")
    drop: float | None
    """Loss of int8 against float, in the metric's own unit; negative: int8 is better."""
    drop_upper: float | None = None
    """One-sided 95 % bound of the drop, if it is known."""


class ClassLoss(msgspec.Struct, frozen=True):
    """A label with fewer correct windows in int8 than in float."""

    label: Any
    windows: int
    float_right: int
    int8_right: int


class LabelledSet(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The labelled set that came with the model; only ``windows`` is known until the verdict opens it."""

    windows: int
    windows_effective: float | None = None
    agreement: float | None = None
    metrics: list[Metric] | None = None
    classes: list[ClassLoss] | None = None
    decides: bool | None = None


class ReservoirUse(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether the sets come from a sensor's stored samples, and from which time."""

    used: bool
    message: str
    first: str | None = msgspec.field(default=None, name="from")
    last: str | None = msgspec.field(default=None, name="to")
    stretches: int | None = None
    windows: int | None = None


class EnoughWindows(msgspec.Struct, frozen=True, kw_only=True):
    """Number of windows in a set, and number that its purpose needs."""

    windows: int
    enough: int | None
    """None: not known."""
    message: str
    planned: int | None = None
    spread: float | None = None
    """Relative error of the least certain range (one-sided 95 % bound)."""


class MovedRanges(msgspec.Struct, frozen=True, kw_only=True):
    """Change of the activation ranges by the last third of the calibration windows."""

    moved: float | None
    """The largest relative change of a range's width."""
    tensor: str
    tensors_moved: int
    message: str


class Enough(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether the data were sufficient."""

    calibration: EnoughWindows | None = None
    heldout: EnoughWindows | None = None
    activations: MovedRanges | None = None


class DataFinding(msgspec.Struct, frozen=True):
    """A finding about the data: a stable code, one sentence with channel and numbers, and whether it rejects them."""

    code: str
    message: str
    refuse: bool


class OutputKindFound(msgspec.Struct, frozen=True):
    """The kind of the judged output, and how it was determined."""

    kind: str
    found: str


class Data(msgspec.Struct, frozen=True, kw_only=True):
    """The sets and the findings about them."""

    calibration: SetSummary | None = None
    search: SetSummary | None = None
    heldout: SetSummary | None = None
    eval: LabelledSet | None = None
    kept: ReservoirUse | None = None
    output: OutputKindFound | None = None
    output_options: Output | None = None
    """``[output]`` with every default filled in, as the verdict uses it."""
    outputs: list[OutputSummary] = []
    """Every output of the model; on the search set first, later on the held-out set."""
    detections: DetectionsKept | None = None
    """For a detector: boxes on the held-out set."""
    enough: Enough = Enough()
    classes: list[ClassLoss] = []
    """Labels of the held-out set with fewer correct windows in int8 than in float."""
    findings: list[DataFinding] = []
    warnings: list[str] = []
