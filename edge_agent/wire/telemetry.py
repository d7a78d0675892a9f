"""What a device says of itself over time: the state of each model, events, and samples of the machine and of serving.

Flat JSON like every message. A field that a device cannot tell is null: no board knows all of them. Shares are
fractions from 0 to 1; units stand in key names. ``edge_agent.telemetry`` publishes these messages.
"""

from typing import Final, Literal

from edge_agent.wire.messages import Message

Severity = Literal["info", "warning", "error"]

HEALTH: Final = "health"
"""The stream of :class:`Health`."""

EVENT_KINDS: Final = {
    "started": "the agent runs",
    "restarted_after_crash": "the agent before this one ended without a word: a crash, a kill, or a power cut",
    "activated": "a release became the active one",
    "rolled_back": "the release before became the active one again",
    "rejected": "a model did not pass its gates",
    "failed": "a job failed before there was a verdict",
    "sensor_lost": "a sensor of the config no longer answers",
    "sensor_back": "a sensor that was lost answers again",
    "throttled": "the processor was slowed down, for heat or for want of power",
    "undervoltage": "the power supply gives too little",
    "disk_low": "less disk is free than the device keeps in reserve",
    "model_stale": "a model is served on another runtime than the one that judged it",
    "refused": "a signed order was not obeyed",
    "events_lost": "events were dropped before they were published, as there were too many",
}
"""kind → what has happened. A reader takes a kind that it does not know for an event all the same."""


class ModelState(Message, frozen=True, kw_only=True):
    """Retained, one a model name, published when something of it changes.

    ``active_*`` and every measured number are of the release that runs now, as its verdict proved them; they stay when
    a newer job is rejected. ``job`` to ``verdict`` are of the newest job.
    """

    device: str
    model: str
    active_version: int = 0
    """0: no release is active."""
    active_since: str = ""
    previous_version: int = 0
    """What a rollback activates; 0: nothing."""
    newest_version: int = 0
    """The highest version that a trusted order asked for."""
    job: str = ""
    job_version: int = 0
    stage: str = ""
    status: str = ""
    code: str = ""
    message: str = ""
    progress: float | None = None
    """Fraction of the whole job done, 0 to 1; null: no job is under way."""
    verdict: str = ""
    """accepted, rejected or failed; empty: the job has not ended."""
    method: str = ""
    """float, dynamic, uniform or static."""
    runtime: str = ""
    stale: bool | None = None
    """Whether the runtime that is installed is another one than the one that judged the release."""
    float_bytes: int | None = None
    model_bytes: int | None = None
    size_ratio: float | None = None
    float_p50_ms: float | None = None
    float_p95_ms: float | None = None
    float_p99_ms: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    latency_ratio: float | None = None
    """Median time of the release over float's."""
    latency_ratio_upper: float | None = None
    """Its proved upper bound."""
    agreement: float | None = None
    agreement_lower: float | None = None
    float_accuracy: float | None = None
    accuracy: float | None = None
    float_rss_bytes: int | None = None
    """What the float model adds to an empty runtime."""
    rss_bytes: int | None = None


class Health(Message, frozen=True, kw_only=True):
    """QoS 0, not retained: how the machine and the agent are, every ``[telemetry] health_s`` seconds."""

    device: str
    uptime_s: float | None = None
    cpu_share: float | None = None
    """Of all processors together, since the sample before; null in the first one."""
    load_1m: float | None = None
    memory_available_bytes: int | None = None
    swap_used_bytes: int | None = None
    disk_free_bytes: int | None = None
    """On the file system of ``state_dir``."""
    disk_written_bytes_per_day: float | None = None
    """Of the whole device that holds ``state_dir``, since it was booted; null within the first hour."""
    temperature_c: float | None = None
    clock_hz: float | None = None
    """The slowest of the processors that are on."""
    throttled: bool | None = None
    throttled_since_boot: bool | None = None
    undervoltage: bool | None = None
    undervoltage_since_boot: bool | None = None
    clock_plausible: bool = True
    agent_uptime_s: float = 0.0
    agent_rss_bytes: int | None = None
    agent_cpu_share: float | None = None
    """Of one processor, since the sample before, the agent's children left out."""
    reconnects: int = 0
    """Since the agent was started."""
    dropped_messages: int = 0
    """Messages of others that had no room, since the agent was started."""


class ModelSample(Message, frozen=True, kw_only=True):
    """QoS 0, not retained: what serving did with one model in the interval before ``ts``, all applications together."""

    device: str
    model: str
    version: int = 0
    """The active version."""
    interval_s: float = 0.0
    applications: int = 0
    inferences: int = 0
    errors: int = 0
    dropped: int = 0
    """Datagrams of applications that were not counted, as they came too fast or made no sense."""
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    rss_bytes: int | None = None
    """Of the applications' whole processes, the largest."""
    runtime: str = ""
    stale: bool | None = None


class Event(Message, frozen=True, kw_only=True):
    """QoS 1, not retained, in order: what a person should know; kept on the device until the broker has it.

    An event may be published twice, after a connection broke; it then has the same ``event_seq``. So a reader that has
    seen one passes over what is not above it. An empty payload is nobody's event, and to be passed over, too.
    """

    device: str
    event_seq: int
    """Rises with each event of the device, over boots as well; gaps mean nothing."""
    kind: str
    severity: Severity = "info"
    code: str = ""
    message: str = ""
    model: str = ""
    version: int = 0
    job: str = ""
