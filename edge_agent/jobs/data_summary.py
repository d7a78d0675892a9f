"""What the result object says of a job's data: its sets, how far they do, and what was found in them. Values only."""

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
    """Stretches of time that do not touch."""
    windows_effective: float | None = None
    """How many independent windows they count as."""


class Metric(msgspec.Struct, frozen=True):
    """One metric of float and of int8; None: not to be had, as where an output is not finite."""

    name: str
    reference: float | None = msgspec.field(name="float")
    target: float | None = msgspec.field(name="int8")
    drop: float | None
    """How much worse int8 is, in the metric's own unit; negative: it is better."""
    drop_upper: float | None = None
    """One-sided 95 % bound of the drop, where there is one."""


class ClassLoss(msgspec.Struct, frozen=True):
    """A label of which int8 has fewer windows right than float."""

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
    """Whether the sets are of what a sensor's process had stored, and from when."""

    used: bool
    message: str
    first: str | None = msgspec.field(default=None, name="from")
    last: str | None = msgspec.field(default=None, name="to")
    stretches: int | None = None
    windows: int | None = None


class EnoughWindows(msgspec.Struct, frozen=True, kw_only=True):
    """How many windows a set has, and how many would do for what it is for."""

    windows: int
    enough: int | None
    """None: nobody can say."""
    message: str
    planned: int | None = None
    spread: float | None = None
    """By which part of itself the least sure range may be off (one-sided 95 %)."""


class MovedRanges(msgspec.Struct, frozen=True, kw_only=True):
    """How far the ranges of activations moved with the last third of the calibration windows."""

    moved: float | None
    """The largest relative change of a range's width."""
    tensor: str
    tensors_moved: int
    message: str


class Enough(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether there were enough data."""

    calibration: EnoughWindows | None = None
    heldout: EnoughWindows | None = None
    activations: MovedRanges | None = None


class DataFinding(msgspec.Struct, frozen=True):
    """Something about the data: a stable code, one sentence with channel and numbers, and whether it refuses them."""

    code: str
    message: str
    refuse: bool


class OutputKindFound(msgspec.Struct, frozen=True):
    """What the judged output means, and how that was found."""

    kind: str
    found: str


class Data(msgspec.Struct, frozen=True, kw_only=True):
    """What the sets are, and what is to be said of them."""

    calibration: SetSummary | None = None
    search: SetSummary | None = None
    heldout: SetSummary | None = None
    eval: LabelledSet | None = None
    kept: ReservoirUse | None = None
    output: OutputKindFound | None = None
    output_options: Output | None = None
    """``[output]`` with every default filled in, as the verdict uses it."""
    outputs: list[OutputSummary] = []
    """Every output of the model, on the search set, then on the held-out set."""
    detections: DetectionsKept | None = None
    """Of a detector: boxes on the held-out set."""
    enough: Enough = Enough()
    classes: list[ClassLoss] = []
    """Labels of the held-out set of which int8 has fewer right than float."""
    findings: list[DataFinding] = []
    warnings: list[str] = []
