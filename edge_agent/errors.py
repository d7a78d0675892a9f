"""All errors and their stable codes, grouped by the cause of the fault.

    EdgeAgentError            root; carries a stable ``code`` and one sentence that says what to do
    ├── WireError             bytes from the network that are not a message of this protocol
    ├── TrustError            a manifest or command that this device must not obey
    ├── TransferError         a blob that did not arrive as announced
    ├── ModelError            a model that cannot be read, is unsupported or already quantized
    ├── ContractError         data or a source that does not fit the model's input contract
    ├── SourceError           a sensor that is absent, busy, silent or lost
    ├── LimitError            memory, time or disk space ran out
    ├── RecipeError           a manifest that requests something this agent cannot do
    ├── StageError            a worker that crashed or broke its protocol
    ├── StoreError            a state directory that is unusable, or holds other data than requested
    ├── ConfigError           the operator's configuration or command line is wrong
    ├── BrokerError           an MQTT broker that is absent or refuses
    └── Refusal               not a fault: data quality or a gate rejected the model (status ``rejected``)

``CODES`` is the only list of codes. Users script against codes, so a code is never renamed. ``docs/codes.md`` is
generated from this list. An unknown code is a bug: constructing an error with it raises ``KeyError``.
"""

from typing import NamedTuple


class Code(NamedTuple):
    """The human-readable side of a code."""

    status: str
    """The final status of a job with this code: rejected, failed, canceled or succeeded. ``warning``: the code does
    not end the job. ``error``: the code does not concern a job."""
    meaning: str
    remedy: str


CODES: dict[str, Code] = {
    # Job endings that are not faults.
    "accepted": Code("succeeded", "int8 passed every gate and is active", "nothing to do"),
    "canceled": Code("canceled", "an operator canceled the job", "push again when wanted"),
    "superseded": Code("canceled", "a newer version of the model arrived", "watch the newer job"),
    "expired": Code("canceled", "the manifest expired before the job ended", "push again"),
    # Data quality: rejected.
    "non_finite": Code("rejected", "the captured data contain NaN or Inf", "check the sensor and its wiring"),
    "stuck_channel": Code("rejected", "a channel repeats one value over long runs", "check that channel's sensor"),
    "constant_channel": Code("rejected", "a channel never changes", "check that channel's sensor and the channel list"),
    "clipped_channel": Code("rejected", "a channel sits at its rail", "raise the sensor's range"),
    "wrong_rate": Code("rejected", "samples arrive at a different rate than the source's rate_hz", "correct rate_hz"),
    "duplicate_windows": Code(
        "rejected", "many windows are identical", "let the sensor see real use while it captures"
    ),
    "too_few_windows": Code(
        "rejected", "too few windows to prove a gate, even with no error", "set the key that the message names"
    ),
    "sets_unlike": Code(
        "rejected", "the held-out data differ from the calibration data", "capture longer, over all real use"
    ),
    "scale_unlike": Code(
        "rejected",
        "after standardize the data are far from mean 0 and standard deviation 1",
        "correct the sensor's unit, or the step's mean and std",
    ),
    "no_coverage": Code("rejected", "float gives the same output on every held-out window", "capture during real use"),
    # Data findings, reported in ``data.findings``; the job continues.
    "drift": Code(
        "warning", "a channel drifted in one direction throughout", "let the sensor settle, or capture longer"
    ),
    "same_burst": Code("warning", "ranges and verdict rest on a single event", "capture longer"),
    "ranges_unsure": Code("warning", "similar data would give different ranges", "capture more windows"),
    "one_class": Code(
        "warning", "float assigns all windows of a set to one class", "capture windows of the other classes"
    ),
    "class_unseen": Code(
        "warning",
        "float predicts a class for held-out windows only",
        "give calibration and search windows of that class",
    ),
    "beyond_calibration": Code(
        "warning",
        "a few held-out windows lie far outside the calibrated range",
        "include such windows in calibration",
    ),
    "stream_gaps": Code(
        "warning", "samples are missing from the stream", "check the cable, and the load of the device"
    ),
    "malformed_samples": Code("warning", "samples could not be parsed", "check the sensor's cable and framing"),
    # Model findings, reported there too.
    "fp16_better": Code(
        "warning",
        "the fp16 model performs better than int8 on the search set",
        'add "fp16" to [recipe] accept',
    ),
    # Gates: rejected.
    "agreement_too_low": Code("rejected", "int8 disagrees with float too often", "see layers; allow more float layers"),
    "accuracy_too_low": Code(
        "rejected", "int8 loses more labelled accuracy than allowed", "see layers; calibrate better"
    ),
    "sqnr_too_low": Code("rejected", "int8's error is too large relative to the signal", "see layers"),
    "class_lost": Code(
        "rejected",
        "int8 loses a class that float predicts",
        "capture more of that class for calibration; see layers",
    ),
    "output_ruined": Code(
        "rejected",
        "int8 ruins an output that no gate covers",
        "see layers; if nothing reads the output, drop it in the export",
    ),
    "detections_lost": Code(
        "rejected", "int8 loses boxes that float finds, or adds others", "see layers; allow more float layers"
    ),
    "latency_too_high": Code(
        "rejected", "int8 is slower than max_latency_ratio allows", "keep float, or set the gate that the message names"
    ),
    "latency_inconclusive": Code("rejected", "the measurement could not prove the speed", "free the device and retry"),
    "too_noisy": Code("rejected", "two runs of float differ by more than 5 %", "stop other load; fix the governor"),
    "size_too_large": Code(
        "rejected", "int8 is larger than max_size_ratio allows", "keep float, or set the gate that the message names"
    ),
    "memory_too_high": Code(
        "rejected",
        "int8 needs more memory than max_peak_rss_bytes or max_memory_ratio allows",
        "shrink the model, or set the gate that the message names",
    ),
    "no_gain": Code("rejected", "int8 gains less over float than every limit of min_gain requires", "see the message"),
    "output_kind_needed": Code(
        "rejected", "labels fit no output kind, or only the raw gates fail while argmax agrees", "set [output] kind"
    ),
    "labels_unfit": Code(
        "rejected",
        "float fits the labelled set worse than a constant answer would",
        "correct the labels: classes count from 0 in the output's order; values use the output's unit",
    ),
    "fp16_overflow": Code(
        "rejected",
        "the model's activations exceed the range of 16-bit floats",
        "scale the model's inputs or layers down, or accept int8 alone",
    ),
    "no_candidate": Code("rejected", "no candidate passed the gates on the search set", "see candidates and layers"),
    # Model: failed.
    "model_unreadable": Code("failed", "the model file is truncated or not a model", "export it again"),
    "model_unsupported": Code("failed", "the model uses something this agent cannot handle", "see the message"),
    "model_too_large": Code(
        "failed", "the model or its labelled set exceeds limits.max_model_bytes", "raise the limit or shrink it"
    ),
    "already_quantized": Code("failed", "the model is already int8", "push the float model"),
    "external_data": Code("failed", "the model stores weights in other files", "save it as a single file"),
    "custom_operator": Code("failed", "the model needs operators the runtime lacks", "export with standard operators"),
    "state_undeclared": Code("failed", "an output looks like carried state but is not declared", "declare [[state]]"),
    "prepare_mismatch": Code("failed", "the prepared float model differs from the original", "report the model to us"),
    "rewrite_invalid": Code("failed", "the quantized file is not a valid model", "report the model to us"),
    # Contract and source: failed.
    "shape_mismatch": Code(
        "failed", "data do not fit the model's input shape", "correct window, steps, array shape or labels"
    ),
    "dtype_mismatch": Code(
        "failed", "the data's number type is not the input's", "store the array in the input's type"
    ),
    "data_unreadable": Code("failed", "the array file is damaged or holds objects", "save it with numpy.savez"),
    "input_missing": Code("failed", "a model input has no data", "add an array or an [[inputs]] entry of that name"),
    "source_unknown": Code(
        "failed", "no such source in this device's config", "add [sources.NAME] or correct input.source"
    ),
    "channel_unknown": Code("failed", "the source has no such channel", "correct input.channels"),
    "source_unavailable": Code("failed", "the sensor cannot be opened", "check port, cable and permissions"),
    "source_busy": Code("failed", "another process holds the sensor", "stop the holder"),
    "source_silent": Code("failed", "the sensor sends nothing", "check power, baud rate and framing"),
    "source_lost": Code("failed", "the sensor disconnected and did not return", "check cable and power"),
    "capture_timeout": Code("failed", "capture did not finish by its deadline", "check the sensor's rate"),
    # Limits, recipe, stage: failed.
    "no_space": Code("failed", "the disk has too little space", "free space in state_dir"),
    "out_of_memory": Code("failed", "a stage exceeded its memory limit", "raise limits.worker_memory_bytes"),
    "stage_timeout": Code("failed", "a stage exceeded its time limit", "raise limits.stage_timeout_s"),
    "recipe_unsupported": Code(
        "failed", "the recipe requests something this agent cannot do", "correct the key that the message names"
    ),
    "format_unsupported": Code(
        "failed", "this device cannot quantize that model format", "see edge-agent doctor there"
    ),
    "stage_crashed": Code("failed", "a worker died or broke its protocol", "see the log; report it"),
    "device_restarts": Code("failed", "the device lost power three times in one stage", "check the power supply"),
    "activation_failed": Code("failed", "the hook or the probe rejected the release", "see the hook's output"),
    "release_corrupt": Code("failed", "a release's file no longer matches its hash", "check the SD card; push again"),
    # Transfer and trust: failed.
    "hash_mismatch": Code(
        "failed", "bytes do not match the manifest's hash", "push again; check who writes to the broker"
    ),
    "size_mismatch": Code("failed", "the manifest's sizes contradict each other", "push again with push-model"),
    "untrusted": Code("failed", "the signature is missing or its key untrusted", "sign with a key in trust.keys_dir"),
    "wrong_target": Code("failed", "the manifest is not addressed to this device", "push to this device or its group"),
    "version_conflict": Code("failed", "this version exists with different content", "raise version"),
    "downgrade": Code("failed", "the version is older than the one known here", "raise version, or roll back"),
    # Not about a job.
    "malformed": Code("error", "the bytes are not a message of this protocol", "correct what the message names"),
    "protocol_version": Code("error", "the message is of a newer protocol", "update this side"),
    "too_large": Code("error", "a message exceeds the protocol's limit", "send less"),
    "usage": Code("error", "the command line or a configuration file is wrong", "see the message"),
    "broker_unreachable": Code("error", "no broker answered", "check the URL, the network and the broker"),
    "broker_refused": Code("error", "the broker refused this client", "check credentials and ACL"),
    "broker_untrusted": Code(
        "error", "the broker's certificate does not prove that it is the broker", "see the message"
    ),
    "broker_full": Code("error", "the broker would hold more than --max-broker-bytes", "run host-tools purge"),
    "snapshot_incomplete": Code(
        "error", "the broker may not have delivered all its retained messages", "see the message"
    ),
    "no_device": Code("error", "no device matches", "see host-tools devices"),
    "feature_unknown": Code(
        "error",
        "the agent of a target device does not know a key of the manifest",
        "upgrade the agent, or leave the key out",
    ),
    "confinement_missing": Code(
        "error", "this kernel lacks a feature that [limits] require_confinement demands", "see the message"
    ),
    "version_jump": Code(
        "error", "a version is far above all known or signed versions", "give --force, or run host-tools forget"
    ),
    "locked": Code("error", "another edge-agent uses this state_dir", "stop it, or use another state_dir"),
    "permission_denied": Code("error", "this user may not open a file that the command needs", "use sudo"),
    "not_running": Code("error", "no daemon answers", "start edge-agent run"),
    "not_active": Code("error", "that job or version no longer exists", "see edge-agent releases"),
    "no_previous": Code("error", "no previous release on disk", "push the version you want"),
    "state_unreadable": Code("error", "a state file is damaged", "check the disk, and who owns the file"),
    "database_unreachable": Code("error", "the history's database does not answer", "see the message"),
    "database_unusable": Code(
        "error", "the history's database belongs to another program or a later version", "see the message"
    ),
    "internal": Code("error", "a bug in edge-agent", "report it with the log"),
}


def _printable(text: str) -> str:
    """``text`` on one line, escaped: foreign text must not move a terminal's cursor."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


class EdgeAgentError(Exception):
    """The root: ``code`` from :data:`CODES`, ``message`` one printable sentence for a person."""

    def __init__(self, code: str, message: str) -> None:
        self.status = CODES[code].status
        self.code = code
        self.message = _printable(message)
        super().__init__(f"{code}: {self.message}")

    def __reduce__(self) -> tuple[type["EdgeAgentError"], tuple[str, str]]:
        return type(self), (self.code, self.message)


class WireError(EdgeAgentError):
    """The received bytes are not a message of this protocol."""


class TrustError(EdgeAgentError):
    """This device must not obey the received manifest or command."""


class TransferError(EdgeAgentError):
    """A blob did not arrive as announced."""


class ModelError(EdgeAgentError):
    """The model cannot be read, is unsupported, or is quantized already."""


class ContractError(EdgeAgentError):
    """The data or the source does not fit the model's input contract."""


class SourceError(EdgeAgentError):
    """The sensor is absent, busy, silent or lost."""


class LimitError(EdgeAgentError):
    """Memory, time or space ran out."""


class RecipeError(EdgeAgentError):
    """The manifest requests something this agent cannot do."""


class StageError(EdgeAgentError):
    """A worker crashed or broke its protocol."""


class StoreError(EdgeAgentError):
    """The state directory is unusable, or holds other data than requested."""


class ConfigError(EdgeAgentError):
    """The operator's configuration or command line is wrong."""


class BrokerError(EdgeAgentError):
    """The MQTT broker is absent, or refuses the client."""


class Refusal(EdgeAgentError):  # noqa: N818  # a refusal is a result, not an error
    """Not a fault: data quality or a gate rejected the model."""
