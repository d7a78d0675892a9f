"""The result object: what is known of a job's models and data, and the verdict. Values only.

``report.json`` of ``edge-agent quantize``, the ``results`` of a job report and a release's ``report.json`` are this
object; ``docs/schemas/result.json`` is generated from it. A key whose value is unknown is null or empty; a number that
is not finite is null, as JSON has none. What another version or another device wrote is read by
:mod:`edge_agent.jobs.lenient`.
"""

from typing import Literal

import msgspec

from edge_agent.jobs.data_summary import Data
from edge_agent.jobs.measured_outputs import OutputSummary
from edge_agent.jobs.value_histogram import ValueHistogram
from edge_agent.wire.messages import Verdict

MAX_CANDIDATES = 24
MAX_LAYERS = 20
NOTHING_TO_DO = "nothing to do"
"""The remedy of a layer that loses nothing."""


class GateResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """One gate: the limit, the value that was held against it, and how it ended."""

    name: str
    """The gate, as the manifest calls it."""
    limit: float | None
    """What it had to meet; null: nothing was asked for."""
    value: float | None
    """What was proved; null: nothing could be."""
    passed: bool
    """Whether that meets the limit."""
    on: Literal["", "eval"] = ""
    """The set that it was proved on, where that is not the held-out set: ``eval``, the labelled set of the model."""
    axis: Literal["", "time", "size", "memory"] = ""
    """Of ``min_gain``: what was gained. One axis that is met passes the gate; those that are not are then left out."""
    margin: float | None = None
    """Of ``max_latency_ratio``: the part by which ``limit`` is more than what was asked for."""

    @property
    def title(self) -> str:
        """Its name, with the axis where it has several."""
        return f"{self.name} ({self.axis})" if self.axis else self.name


class MeasuredModel(msgspec.Struct, frozen=True, kw_only=True):
    """How one model was made, and what was measured of it: the reference, a candidate, the chosen one.

    Sizes are in bytes, times in milliseconds; ratios are target / reference at p50.
    """

    method: str = ""
    """float, static, dynamic, uniform or float16."""
    calibration: str | None = None
    """The range method of a static candidate."""
    operators: str | None = None
    """Which are int8: ``all`` that the method can quantize, ``core`` (convolutions and products) or ``products``."""
    types: str | None = None
    """Of activations and weights: ``u8s8``, ``s8s8`` or ``u8u8``, unsigned or signed."""
    per_channel: bool | None = None
    """Whether a weight has a scale of its own for each channel."""
    float_layers: list[str] = []
    """The layers that were left float."""
    runtime: str | None = None
    """What it was measured on."""
    runtime_version: str | None = None
    """That runtime's version."""
    threads: int | None = None
    """Threads of a call."""
    size_bytes: int | None = None
    """Of the model's file."""
    form_bytes: int | None = None
    """Of its optimised form, which is served on this device in place of that file; null: none was kept."""
    latency_p50_ms: float | None = None
    """Median time of a call."""
    latency_p95_ms: float | None = None
    """95 % of the calls took at most this."""
    latency_p99_ms: float | None = None
    """99 % of the calls took at most this."""
    ratio_p50: float | None = None
    """Median time over float's, each at its fastest."""
    ratio_p50_upper: float | None = None
    """Exact one-sided bound of the ratio."""
    ratio_confidence: float | None = None
    """Of that bound: 0.95, or 0.975 where a second candidate could have been asked for a proof."""
    ratio_p50_same_runtime: float | None = None
    """The same with float on this model's runtime and threads."""
    peak_rss_bytes: int | None = None
    """VmHWM of a process with this model alone, loaded as it is served: its optimised form, where one was kept."""
    model_rss_bytes: int | None = None
    """The same, less an empty runtime's."""
    loaded_rss_bytes: int | None = None
    """VmRSS of that process once the model was loaded, less an empty runtime's. Mapped weights count whole."""
    steady_rss_bytes: int | None = None
    """The same after calls: what models are compared by."""
    memory_ratio: float | None = None
    """Of fp16 that was only compared: steady memory over float's, where both serve their model files."""
    load_ms: float | None = None
    """Until the model could be called."""
    first_ms: float | None = None
    """Of the first call."""
    preference: float | None = None
    """What ``[recipe] prefer`` says of a candidate: the weighted sum of the logarithms of what it takes of float's
    time, size and, once that is measured, memory. Lower is better, 0 is float's. From before the proof of its time."""
    windows: int | None = None
    """Windows that agreement and errors are over: held-out ones where they were opened, else those of the search."""
    windows_effective: float | None = None
    """How many independent windows they count as."""
    disagreements: int | None = None
    """Of the windows, those on which it does not do what float does."""
    agreement: float | None = None
    """The fraction of the others."""
    agreement_lower: float | None = None
    """Exact one-sided bound of the agreement. Known only of a model that the held-out set was opened for."""
    confidence: float | None = None
    """Of that bound: 0.95, or 0.975 where two finalists shared the held-out set."""
    sqnr_db: float | None = None
    """Signal of float's outputs over the error in them."""
    cosine: float | None = None
    """Cosine between its outputs and float's."""
    max_abs_error: float | None = None
    """Largest difference of one value of an output from float's."""
    accuracy: float | None = None
    """On the labelled windows."""
    gates: list[GateResult] = []
    """What each gate said of it."""
    pareto: bool | None = None
    """Whether no other candidate is both faster and closer to float (candidates only)."""
    code: str | None = None
    """Why a candidate was dropped (candidates only)."""
    message: str | None = None
    """The same in a sentence."""

    @property
    def disk_bytes(self) -> int | None:
        """What it takes on the disk: its file, and its optimised form if there is one; None: not known."""
        return None if self.size_bytes is None else self.size_bytes + (self.form_bytes or 0)

    @property
    def closeness(self) -> tuple[float, float]:
        """Sort key: agreement, then SQNR; an unknown one comes last."""
        worst = float("-inf")
        return worst if self.agreement is None else self.agreement, worst if self.sqnr_db is None else self.sqnr_db


class LayerLoss(msgspec.Struct, frozen=True, kw_only=True):
    """What one layer loses when it becomes int8, why, and what helps."""

    name: str
    """The layer, as the model calls it."""
    op: str | None = None
    """Its operator."""
    tensor: str | None = None
    """The activation that loses most."""
    sqnr_db: float | None = None
    """The smaller of the next two; null: nothing is lost."""
    weights_sqnr_db: float | None = None
    """Signal over error of its weights in int8."""
    activations_sqnr_db: float | None = None
    """The same of its activations."""
    cause: str | None = None
    """Why it loses so much, in a sentence."""
    remedy: str | None = None
    """What helps, in a sentence."""
    output_share: float | None = None
    """The part of the output's error that comes from here, where the search measured it."""
    float_cost_ms: float | None = None
    """What a call takes longer if this layer alone is left float; 0: no more than the same model twice differs."""
    histogram: ValueHistogram | None = None
    """Of that activation's values; null: none was kept of it, or it is not among the worst."""


class MeasuredOn(msgspec.Struct, frozen=True, kw_only=True):
    """The board and its conditions while memory was measured, see :mod:`edge_agent.device.board`; null until then."""

    board: str | None = None
    """The board's name, as its maker gives it."""
    arch: str | None = None
    """As uname says it."""
    cpu: str | None = None
    """The processor's name."""
    cores: int | None = None
    """Processors."""
    memory_bytes: int | None = None
    """Of the machine."""
    governor: str | None = None
    """What sets the clock rate."""
    clock_mhz: float | None = None
    """Of the first processor."""
    max_clock_mhz: float | None = None
    """The highest that it may have."""
    temperature_c: dict[str, float] = {}
    """Zone → temperature."""
    throttled: list[str] = []
    """What slowed the processor down."""
    throttle_events: int | None = None
    """A count of such events."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The result object; every key is there from the start."""

    verdict: Verdict | None = None
    """Null: the job has not ended."""
    code: str = ""
    """Why it ended as it did."""
    message: str = ""
    """The same in a sentence."""
    reference: MeasuredModel | None = None
    """The float model."""
    usual: MeasuredModel | None = None
    """The memory of the float model as an application loads it that takes the runtime's defaults."""
    fp16: MeasuredModel | None = None
    """The float16 model, where ``[recipe] accept`` leaves it out: it is compared and never judged. What agreement and
    errors are over are search windows, and its gates and its code say what it would meet there by what was measured."""
    chosen: MeasuredModel | None = None
    """The model that was accepted: int8, or float16 where the recipe accepts that."""
    candidates: list[MeasuredModel] = []
    """What was tried, at most ``MAX_CANDIDATES``."""
    finalist: int | None = None
    """The place among the candidates of the one that the held-out set was opened for; of two, the one told of."""
    layers: list[LayerLoss] = []
    """At most ``MAX_LAYERS``, the worst first."""
    data: Data = Data()
    """What it was judged on: the sets, and what was found in them."""
    device: MeasuredOn = MeasuredOn()
    """The board, and how it did."""
    seconds: dict[str, float] = {}
    """Stage → what it took."""

    @property
    def told_outputs(self) -> list[OutputSummary]:
        """The outputs that say more than the gates do: several, or one with groups of channels or a class lost."""
        outputs = self.data.outputs
        return outputs if len(outputs) > 1 or any(one.groups or one.lost_classes for one in outputs) else []

    @property
    def lossy_layers(self) -> list[LayerLoss]:
        """The layers that something can be done about, which is what a person wants to see."""
        return [layer for layer in self.layers if layer.remedy != NOTHING_TO_DO]

    @property
    def judged(self) -> MeasuredModel | None:
        """The int8 model that the verdict's sentence is about: the chosen one, else the candidate that came furthest.

        Furthest: it is the finalist; else the held-out set was opened for it, which is how version 0.1 tells; else the
        sentence quotes its own; else it has the result's code; else it ran. Of several the one closest to float.
        """
        if self.chosen is not None:
            return self.chosen
        if self.finalist is not None and 0 <= self.finalist < len(self.candidates):
            return self.candidates[self.finalist]
        quoted = [one for one in self.candidates if one.code == self.code and (one.message or "\0") in self.message]
        for group in (
            [one for one in self.candidates if one.agreement_lower is not None],
            quoted,
            [one for one in self.candidates if one.code == self.code],
            self.candidates,
        ):
            if group:
                return max(group, key=lambda one: one.closeness)
        return None
