"""What a device says of itself over time: the state of each model, events, and samples of the machine and of serving.

Flat JSON like every message. A field that a device cannot tell is null: no board knows all of them. Shares are
fractions from 0 to 1; units stand in key names. ``edge_agent.telemetry`` publishes these messages.
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
    """What has happened."""


EVENT_KINDS: Final = {
    "started": Kind("info", "the agent runs"),
    "restarted_after_crash": Kind(
        "warning", "the agent before this one ended without a word: a crash, a kill, or a power cut"
    ),
    "activated": Kind("info", "a release became the active one"),
    "rolled_back": Kind("warning", "a release is not active any more: the one before it is again, or none"),
    "rejected": Kind("warning", "a model did not pass its gates"),
    "failed": Kind("error", "a job failed, before there was a verdict or while its release was activated"),
    "sensor_lost": Kind("error", "a shared sensor of the config no longer answers"),
    "sensor_back": Kind("info", "a shared sensor that was lost answers again"),
    "throttled": Kind("warning", "the processor was slowed down, for heat or for want of power"),
    "undervoltage": Kind("warning", "the power supply gives too little"),
    "disk_low": Kind("warning", "less disk is free than the device keeps in reserve"),
    "model_stale": Kind("warning", "a model is served on another runtime than the one that judged it"),
    "refused": Kind("warning", "a signed order was not obeyed; once an hour, however often it is sent"),
    "events_lost": Kind(
        "warning",
        "events are lost that were not published: too many waited, the disk spoilt their files, or the agent ended "
        "with some that it could not write",
    ),
}
"""A reader takes a kind that it does not know for an event all the same."""


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
    """When it became active; RFC 3339 UTC."""
    previous_version: int = 0
    """What a rollback activates; 0: nothing."""
    newest_version: int = 0
    """The highest version that was accepted."""
    job: str = ""
    """The newest job's id."""
    job_version: int = 0
    """The version that it is about."""
    stage: str = ""
    """The stage that it is in, or ended in."""
    status: str = ""
    """queued, in_progress, succeeded, rejected, failed or canceled."""
    code: str = ""
    """Why it ended as it did; empty while it goes on."""
    message: str = ""
    """The same in a sentence."""
    progress: float | None = None
    """Fraction of the whole job done, 0 to 1; null: no job is under way."""
    verdict: str = ""
    """accepted, rejected or failed; empty: the job has not ended, or was canceled."""
    method: str = ""
    """float, dynamic, uniform or static."""
    runtime: str = ""
    """What the release runs on, with its version."""
    stale: bool | None = None
    """Whether the runtime that is installed is another one than the one that judged the release."""
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
    """Fraction of held-out windows on which the release does what float does."""
    agreement_lower: float | None = None
    """Its proved lower bound."""
    float_accuracy: float | None = None
    """Float's accuracy on the labelled set that came with the model."""
    accuracy: float | None = None
    """The release's accuracy there."""
    float_rss_bytes: int | None = None
    """What the float model adds to an empty runtime: after calls; of a release made before version 0.2, at its peak."""
    rss_bytes: int | None = None
    """What the release adds, counted as float's."""


class Health(Message, frozen=True, kw_only=True):
    """QoS 0, not retained: how the machine and the agent are, every ``[telemetry] health_s`` seconds."""

    device: str
    uptime_s: float | None = None
    """Since the machine was booted."""
    cpu_share: float | None = None
    """Of all processors together, since the sample before; null in the first one."""
    load_1m: float | None = None
    """Processes that ran or waited for a processor, over the last minute."""
    memory_available_bytes: int | None = None
    """What a process could take without swapping."""
    swap_used_bytes: int | None = None
    """Of the machine."""
    disk_free_bytes: int | None = None
    """On the file system of ``state_dir``."""
    disk_written_bytes_per_day: float | None = None
    """Of the whole device that holds ``state_dir``, since it was booted; null within the first hour."""
    temperature_c: float | None = None
    """Of the processor, its hottest zone; where no zone says that it is one, of the hottest of all."""
    clock_hz: float | None = None
    """The slowest of the processors that are on."""
    throttled: bool | None = None
    """Whether the processor is slowed down now."""
    throttled_since_boot: bool | None = None
    """Whether it ever was since the machine was booted."""
    undervoltage: bool | None = None
    """Whether the power supply gives too little now."""
    undervoltage_since_boot: bool | None = None
    """Whether it ever did since the machine was booted."""
    clock_plausible: bool = True
    """False: the system clock is behind what is known to have happened, so it was never set."""
    agent_uptime_s: float = 0.0
    """Since the agent was started."""
    agent_rss_bytes: int | None = None
    """Resident memory of the agent's process."""
    agent_cpu_share: float | None = None
    """Of one processor, since the sample before, the agent's children left out."""
    reconnects: int = 0
    """Connections to the broker after the first, since the agent was started."""
    dropped_messages: int = 0
    """Messages of others that had no room, since the agent was started."""


class ModelSample(Message, frozen=True, kw_only=True):
    """QoS 0, not retained: what serving did with one model in the interval before ``ts``, all applications together.

    Where several versions answered in the interval, as when another one has just been activated, each has a message.
    """

    device: str
    model: str
    version: int = 0
    """The one that answered."""
    interval_s: float = 0.0
    """How long the interval was."""
    applications: int = 0
    """How many said something in it."""
    inferences: int = 0
    """Calls of the model that gave an answer."""
    errors: int = 0
    """Calls that raised: the window did not fit, or the model failed on it."""
    dropped: int = 0
    """Datagrams of the device's applications that were not counted, as they came too fast or made no sense."""
    p50_ms: float | None = None
    """Of the model's own call, as in the verdict, within 4.5 %: steps and what is made of the outputs are not in it."""
    p95_ms: float | None = None
    """95 % of the calls took at most this."""
    p99_ms: float | None = None
    """99 % of the calls took at most this."""
    rss_bytes: int | None = None
    """Of the applications' whole processes, the largest."""
    runtime: str = ""
    """What the model runs on."""
    stale: bool | None = None
    """Whether that is another runtime than the one that judged the release."""


class Event(Message, frozen=True, kw_only=True):
    """QoS 1, not retained, in order: what a person should know; kept on the device until the broker has it.

    An event may be published twice, after a connection broke; it then has the same ``event_seq``. So a reader that has
    seen one passes over what is not above it. An empty payload is nobody's event, and to be passed over, too.
    """

    device: str
    event_seq: int
    """Rises with each event of the device, over boots as well; gaps mean nothing."""
    kind: str
    """What has happened: see the table of kinds."""
    severity: Severity = "info"
    """info: as intended; warning: look at it; error: something does not work."""
    code: str = ""
    """A code of the project, where one is behind it."""
    message: str = ""
    """What has happened, in a sentence."""
    model: str = ""
    version: int = 0
    """Of that model; 0: it is about none."""
    job: str = ""
