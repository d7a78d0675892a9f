"""Telemetry of a device: the state of each model, events, and samples of the machine and of serving.

Flat JSON like every message. A value that the board cannot measure is null; no board has all of them. Shares are
fractions from 0 to 1. Key names end in the unit. ``edge_agent.telemetry`` publishes these messages.
"""

from typing import Final, Literal, NamedTuple

from edge_agent.wire.messages import Message

Severity = Literal["info", "warning", "error"]

HEALTH: Final = "health"
"""The stream of :class:`Health`."""


class Kind(NamedTuple):
    """A kind of event."""

    severity: Severity
    text: str
    """What happened."""


EVENT_KINDS: Final = {
    "started": Kind("info", "the agent runs"),
    "restarted_after_crash": Kind(
        "warning", "the previous agent ended without a clean stop: a crash, a kill, or a power cut"
    ),
    "activated": Kind("info", "a release became the active one"),
    "rolled_back": Kind("warning", "a release is no longer active; the previous one is active again, or none"),
    "rejected": Kind("warning", "a model did not pass its gates"),
    "failed": Kind("error", "a job failed, before its verdict or during the activation of its release"),
    "sensor_lost": Kind("error", "a shared sensor of the config does not respond"),
    "sensor_back": Kind("info", "a lost shared sensor responds again"),
    "throttled": Kind("warning", "the processor was slowed down, because of heat or too little power"),
    "undervoltage": Kind("warning", "the power supply delivers too little"),
    "disk_low": Kind("warning", "less disk space is free than the device's reserve"),
    "model_stale": Kind("warning", "a model is served by another runtime than the one that judged it"),
    "refused": Kind("warning", "a signed order was refused; reported once an hour, however often it is sent"),
    "events_lost": Kind(
        "warning",
        "events were lost before they were published: too many were queued, the disk damaged their files, or the "
        "agent ended with some that it could not write",
    ),
}
"""A reader must accept an event of a kind that it does not know."""


class ModelState(Message, frozen=True, kw_only=True):
    """Retained, one per model name, published when a field changes.

    ``active_*`` and every measured number describe the active release, as proved by its verdict. They stay when a newer
    job is rejected. ``job`` to ``verdict`` describe the newest job.
    """

    device: str
    model: str
    active_version: int = 0
    """0: no release is active."""
    active_since: str = ""
    """Time of its activation; RFC 3339 UTC."""
    previous_version: int = 0
    """The version that a rollback would activate; 0: none."""
    newest_version: int = 0
    """The highest accepted version."""
    job: str = ""
    """The newest job's id."""
    job_version: int = 0
    """The version that the job is for."""
    stage: str = ""
    """The job's stage; for an ended job, its last one."""
    status: str = ""
    """queued, in_progress, succeeded, rejected, failed or canceled."""
    code: str = ""
    """The code of the outcome; empty while the job runs."""
    message: str = ""
    """The outcome in a sentence."""
    progress: float | None = None
    """Fraction of the whole job done, 0 to 1; null: no job is running."""
    verdict: str = ""
    """accepted, rejected or failed; empty: the job has not ended, or was canceled."""
    method: str = ""
    """float, dynamic, uniform or static."""
    runtime: str = ""
    """The runtime of the release, with the runtime's version."""
    stale: bool | None = None
    """Whether the installed runtime differs from the one that judged the release."""
    float_bytes: int | None = None
    """Size of the float model's file."""
    model_bytes: int | None = None
    """Size of the release's file."""
    size_ratio: float | None = None
    """Size of the release over float's."""
    float_p50_ms: float | None = None
    """Median time of a call of the float model."""
    float_p95_ms: float | None = None
    """95 % of its calls take at most this."""
    float_p99_ms: float | None = None
    """99 % of its calls take at most this."""
    p50_ms: float | None = None
    """Median time of a call of the release."""
    p95_ms: float | None = None
    """95 % of its calls take at most this."""
    p99_ms: float | None = None
    """99 % of its calls take at most this."""
    latency_ratio: float | None = None
    """Median time of the release over float's."""
    latency_ratio_upper: float | None = None
    """Its proved upper bound."""
    agreement: float | None = None
    """Fraction of held-out windows on which the release agrees with float."""
    agreement_lower: float | None = None
    """Its proved lower bound."""
    float_accuracy: float | None = None
    """Float's accuracy on the labelled set that came with the model."""
    accuracy: float | None = None
    """The release's accuracy there."""
    float_rss_bytes: int | None = None
    """Memory that the float model adds to an empty runtime, after its calls; for a release made before version 0.2, at
    its peak."""
    rss_bytes: int | None = None
    """Memory that the release adds, measured in the same way."""


class Health(Message, frozen=True, kw_only=True):
    """QoS 0, not retained: the state of the machine and of the agent, every ``[telemetry] health_s`` seconds."""

    device: str
    uptime_s: float | None = None
    """Since the boot of the machine."""
    cpu_share: float | None = None
    """Load of all processors together since the previous sample; null in the first sample."""
    load_1m: float | None = None
    """Average number of processes that ran or waited for a processor, over the last minute."""
    memory_available_bytes: int | None = None
    """Memory that a process could allocate without swapping."""
    swap_used_bytes: int | None = None
    """Swap in use on the machine."""
    disk_free_bytes: int | None = None
    """Free space on the file system of ``state_dir``."""
    disk_written_bytes_per_day: float | None = None
    """Bytes written to the whole block device that holds ``state_dir``, since boot; null within the first hour."""
    temperature_c: float | None = None
    """The processor's hottest zone; if no zone is marked as the processor's, the hottest of all zones."""
    clock_hz: float | None = None
    """Clock rate of the slowest processor that is online."""
    throttled: bool | None = None
    """Whether the processor is slowed down now."""
    throttled_since_boot: bool | None = None
    """Whether the processor was slowed down at any time since boot."""
    undervoltage: bool | None = None
    """Whether the power supply delivers too little now."""
    undervoltage_since_boot: bool | None = None
    """Whether the power supply delivered too little at any time since boot."""
    clock_plausible: bool = True
    """False: the system clock is earlier than a time that is known to have passed, so it was never set."""
    agent_uptime_s: float = 0.0
    """Since the start of the agent."""
    agent_rss_bytes: int | None = None
    """Resident memory of the agent's process."""
    agent_cpu_share: float | None = None
    """Load of the agent without its children since the previous sample, as a fraction of one processor."""
    reconnects: int = 0
    """Connections to the broker after the first, since the start of the agent."""
    dropped_messages: int = 0
    """Incoming messages dropped because a queue was full, since the start of the agent."""


class ModelSample(Message, frozen=True, kw_only=True):
    """QoS 0, not retained: the use of one model in the interval before ``ts``, over all applications.

    If several versions answered in the interval, as after an activation, each one has its own message.
    """

    device: str
    model: str
    version: int = 0
    """The version that answered."""
    interval_s: float = 0.0
    """Length of the interval."""
    applications: int = 0
    """Number of applications that reported in the interval."""
    inferences: int = 0
    """Successful calls of the model."""
    errors: int = 0
    """Calls that raised: the window did not fit, or the model failed on it."""
    dropped: int = 0
    """Datagrams of the device's applications that were not counted: they came too fast or could not be decoded."""
    p50_ms: float | None = None
    """Median time of the model's own call, within 4.5 %. As in the verdict, it includes neither steps nor
    postprocessing."""
    p95_ms: float | None = None
    """95 % of the calls took at most this."""
    p99_ms: float | None = None
    """99 % of the calls took at most this."""
    rss_bytes: int | None = None
    """Resident memory of the largest application process, as a whole."""
    runtime: str = ""
    """The runtime that the model runs on."""
    stale: bool | None = None
    """Whether that runtime differs from the one that judged the release."""


class Event(Message, frozen=True, kw_only=True):
    """QoS 1, not retained, in order: an event that a person should know about; stored until the broker has it.

    A broken connection may cause an event to be published twice, with the same ``event_seq``. So a reader skips every
    event whose number is not above the last one it has seen. A reader also skips an empty payload.
    """

    device: str
    event_seq: int
    """Increases with each event of the device, across boots as well; gaps have no meaning."""
    kind: str
    """The kind of event: see the table of kinds."""
    severity: Severity = "info"
    """info: as intended; warning: look at it; error: something does not work."""
    code: str = ""
    """The error code behind the event, if there is one."""
    message: str = ""
    """What happened, in a sentence."""
    model: str = ""
    version: int = 0
    """Version of that model; 0: the event concerns no version."""
    job: str = ""
