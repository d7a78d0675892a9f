"""The result object: measurements of a job's models and data, and the verdict. Values only.

``report.json`` of ``edge-agent quantize``, the ``results`` of a job report and a release's ``report.json`` are this
object; ``docs/schemas/result.json`` is generated from it. A key whose value is unknown is null or empty; a number that
is not finite is null, because JSON has none. :mod:`edge_agent.jobs.lenient` reads objects of other versions and
devices.
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
"""The remedy for a layer without loss."""


class GateResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """One gate: its limit, the value compared with it, and the outcome."""

    name: str
    """The gate, as the manifest calls it."""
    limit: float | None
    """The limit to meet; null: none was set."""
    value: float | None
    """The proved value; null: none could be proved."""
    passed: bool
    """Whether the value meets the limit."""
    on: Literal["", "eval"] = ""
    """The set of the proof if it is not the held-out set: ``eval``, the labelled set of the model."""
    axis: Literal["", "time", "size", "memory"] = ""
    """For ``min_gain``: the quantity gained. One met axis passes the gate; the other axes are then omitted."""
    margin: float | None = None
    """For ``max_latency_ratio``: the part by which ``limit`` exceeds the requested ratio."""

    @property
    def title(self) -> str:
        """Its name, with the axis if there is one."""
        return f"{self.name} ({self.axis})" if self.axis else self.name


class MeasuredModel(msgspec.Struct, frozen=True, kw_only=True):
    """The recipe and the measurements of one model: the reference, a candidate or the chosen one.

    Sizes are in bytes, times in milliseconds; ratios are target / reference at p50.
    """

    method: str = ""
    """float, static, dynamic, uniform or float16."""
    calibration: str | None = None
    """The range method of a static candidate."""
    operators: str | None = None
    """Operators in int8: ``all`` that the method can quantize, ``core`` (convolutions and products) or ``products``."""
    types: str | None = None
    """Integer types of activations and weights, unsigned or signed: ``u8s8``, ``s8s8`` or ``u8u8``."""
    per_channel: bool | None = None
    """Whether a weight has one scale per channel."""
    float_layers: list[str] = []
    """Layers left in float."""
    runtime: str | None = None
    """The runtime that it was measured on."""
    runtime_version: str | None = None
    """That runtime's version."""
    threads: int | None = None
    """Threads per call."""
    size_bytes: int | None = None
    """Size of the model's file."""
    form_bytes: int | None = None
    """Size of its optimised form, served on this device in place of that file; null: none was kept."""
    latency_p50_ms: float | None = None
    """Median time of a call."""
    latency_p95_ms: float | None = None
    """95 % of the calls took at most this."""
    latency_p99_ms: float | None = None
    """99 % of the calls took at most this."""
    ratio_p50: float | None = None
    """Median time relative to float's, each with its fastest settings."""
    ratio_p50_upper: float | None = None
    """Exact one-sided bound of the ratio."""
    ratio_confidence: float | None = None
    """Confidence of that bound: 0.95, or 0.975 where a second candidate could have been tested."""
    ratio_p50_same_runtime: float | None = None
    """The same ratio with float on this model's runtime and threads."""
    peak_rss_bytes: int | None = None
    """VmHWM of a process with this model alone, loaded as it is served, in its optimised form if one was kept."""
    model_rss_bytes: int | None = None
    """The same, minus that of an empty runtime."""
    loaded_rss_bytes: int | None = None
    """VmRSS of that process after loading the model, minus that of an empty runtime. Mapped weights count whole."""
    steady_rss_bytes: int | None = None
    """VmRSS of that process after calls, minus that of an empty runtime. Models are compared by this value."""
    memory_ratio: float | None = None
    """Of fp16 that was only compared: steady memory over float's, where both serve their model files."""
    load_ms: float | None = None
    """Time until the model could be called."""
    first_ms: float | None = None
    """Time of the first call."""
    preference: float | None = None
    """Score by ``[recipe] prefer``: the weighted sum of the logarithms of the ratios to float's time, size and, once it
    is measured, memory. Lower is better; float has 0. Computed before the proof of its time."""
    windows: int | None = None
    """Windows of agreement and errors: those of the held-out set if it was opened, else of the search set."""
    windows_effective: float | None = None
    """Equivalent number of independent windows."""
    disagreements: int | None = None
    """Windows on which it disagrees with float."""
    agreement: float | None = None
    """Fraction of windows on which it agrees with float."""
    agreement_lower: float | None = None
    """Exact one-sided bound of the agreement. Known only for a model judged on the held-out set."""
    confidence: float | None = None
    """Confidence of that bound: 0.95, or 0.975 where two finalists shared the held-out set."""
    sqnr_db: float | None = None
    """Power of float's outputs over the error in them."""
    cosine: float | None = None
    """Cosine between its outputs and float's."""
    max_abs_error: float | None = None
    """Largest absolute difference between an output value and float's."""
    accuracy: float | None = None
    """Accuracy on the labelled windows."""
    gates: list[GateResult] = []
    """The outcome of each gate."""
    pareto: bool | None = None
    """Whether no other candidate is both faster and closer to float (candidates only)."""
    code: str | None = None
    """Code of the reason why a candidate was dropped (candidates only)."""
    message: str | None = None
    """The same reason in a sentence."""

    @property
    def disk_bytes(self) -> int | None:
        """Size on disk: its file, and its optimised form if there is one; None: not known."""
        return None if self.size_bytes is None else self.size_bytes + (self.form_bytes or 0)

    @property
    def closeness(self) -> tuple[float, float]:
        """Sort key: agreement, then SQNR; an unknown one comes last."""
        worst = float("-inf")
        return worst if self.agreement is None else self.agreement, worst if self.sqnr_db is None else self.sqnr_db


class LayerLoss(msgspec.Struct, frozen=True, kw_only=True):
    """The loss of one layer in int8, its cause and its remedy."""

    name: str
    """The layer, as the model calls it."""
    op: str | None = None
    """Its operator."""
    tensor: str | None = None
    """The activation with the largest loss."""
    sqnr_db: float | None = None
    """The smaller of the next two; null: no loss."""
    weights_sqnr_db: float | None = None
    """SQNR of its weights in int8."""
    activations_sqnr_db: float | None = None
    """SQNR of its activations in int8."""
    cause: str | None = None
    """The cause of the loss, in a sentence."""
    remedy: str | None = None
    """The remedy, in a sentence."""
    output_share: float | None = None
    """The part of the output's error that this layer causes, if the search measured it."""
    float_cost_ms: float | None = None
    """Extra time of a call if only this layer stays float; 0: within the noise of the measurement."""
    histogram: ValueHistogram | None = None
    """Histogram of that activation's values; null: not kept, or the layer is not among the worst."""


class MeasuredOn(msgspec.Struct, frozen=True, kw_only=True):
    """The board and its conditions while memory was measured, see :mod:`edge_agent.device.board`; null until then."""

    board: str | None = None
    """The board's name, as its manufacturer gives it."""
    arch: str | None = None
    """The architecture, as uname reports it."""
    cpu: str | None = None
    """The processor's name."""
    cores: int | None = None
    """Number of processors."""
    memory_bytes: int | None = None
    """Memory of the machine."""
    governor: str | None = None
    """The CPU frequency governor."""
    clock_mhz: float | None = None
    """Clock rate of the first processor."""
    max_clock_mhz: float | None = None
    """Its highest clock rate."""
    temperature_c: dict[str, float] = {}
    """Zone → temperature."""
    throttled: list[str] = []
    """Reasons for which the processor was throttled."""
    throttle_events: int | None = None
    """Number of throttling events."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The result object; every key is there from the start."""

    verdict: Verdict | None = None
    """Null: the job has not ended."""
    code: str = ""
    """Code of the reason for the verdict."""
    message: str = ""
    """The same reason in a sentence."""
    reference: MeasuredModel | None = None
    """The float model."""
    usual: MeasuredModel | None = None
    """Memory of the float model in an application that loads it with the runtime's defaults."""
    fp16: MeasuredModel | None = None
    """The float16 model if ``[recipe] accept`` does not include it: it is compared and never judged. Agreement and
    errors are over search windows, and its gates and code show which limits these measurements would meet."""
    chosen: MeasuredModel | None = None
    """The accepted model: int8, or float16 if the recipe accepts that."""
    candidates: list[MeasuredModel] = []
    """The evaluated candidates, at most ``MAX_CANDIDATES``."""
    finalist: int | None = None
    """Index of the candidate judged on the held-out set; of two, the one that the verdict reports."""
    layers: list[LayerLoss] = []
    """At most ``MAX_LAYERS``, the worst first."""
    data: Data = Data()
    """The sets that it was judged on, and the findings about them."""
    device: MeasuredOn = MeasuredOn()
    """The board and its conditions."""
    seconds: dict[str, float] = {}
    """Stage → its duration."""

    @property
    def told_outputs(self) -> list[OutputSummary]:
        """The outputs that add to the gates' information: several, or one with channel groups or lost classes."""
        outputs = self.data.outputs
        return outputs if len(outputs) > 1 or any(one.groups or one.lost_classes for one in outputs) else []

    @property
    def lossy_layers(self) -> list[LayerLoss]:
        """The layers with a remedy, which people can act on."""
        return [layer for layer in self.layers if layer.remedy != NOTHING_TO_DO]

    @property
    def judged(self) -> MeasuredModel | None:
        """The int8 model that the verdict's sentence is about: the chosen one, else the candidate that came furthest.

        The first criterion that some candidate meets decides: it is the finalist; it was judged on the held-out set (as
        version 0.1 reports); the result quotes its sentence; it has the result's code; it ran. Of several, the one
        closest to float counts.
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
