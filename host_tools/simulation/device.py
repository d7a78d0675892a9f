"""A simulated device: times and orders go in, the device's messages come out. Pure.

It publishes what a real device does, with the same structs, at the same times: on every connection its status, its
info, the states of its models and their newest reports; then samples of its health and of serving at their intervals,
and a job's reports and events as its script has them. All randomness comes from a seed that includes the device's name,
so one device is the same in a fleet of ten and in one of five thousand.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import msgspec

from edge_agent import __version__
from edge_agent.wire.manifest import FEATURES
from edge_agent.wire.messages import DeviceInfo, DeviceStatus, JobReport, Message, Refused, encode
from edge_agent.wire.telemetry import EVENT_KINDS, HEALTH, Event, Health, ModelSample
from edge_agent.wire.timestamps import rfc3339
from edge_agent.wire.topics import MODEL_STREAMS, DeviceKind
from host_tools.simulation.hardware import MODELS, RUNTIME, RUNTIME_VERSION, SIMULATED, draw_board, known_model
from host_tools.simulation.model_runs import ModelRuns
from host_tools.simulation.plan import Plan

_HOUR_S = 3600.0
_MONTH_S = 30 * 24 * _HOUR_S
_HOT_C, _COOL_C = 80.0, 77.0
"""A processor is throttled from the first temperature on, until it is below the second."""
_AWAY_S = (30.0, 120.0)
_ENDS = {"succeeded": "activated", "rejected": "rejected", "failed": "failed"}
"""End of a job → its event."""


@dataclass(frozen=True, slots=True)
class Said:
    """A message of a device on its topic ``kind`` or ``kind/leaf``; None clears the retained one."""

    kind: DeviceKind
    leaf: str
    message: Message | None
    retain: bool = True
    qos: int = 1

    @property
    def payload(self) -> bytes:
        """The payload to publish."""
        return encode(self.message) if self.message else b""


class SimulatedDevice:
    """One device of ``plan``. All times are seconds since the epoch.

    Attributes:
        id: its name.
    """

    def __init__(self, plan: Plan, number: int, now: float) -> None:
        self.id = plan.name(number)
        self._plan = plan
        self._chance = Random(f"{plan.seed}/{self.id}")  # noqa: S311  # no secret
        self._board = draw_board(self._chance)
        self._booted = now - self._chance.uniform(_HOUR_S, _MONTH_S)
        self._boot_id = f"{self._chance.getrandbits(128):032x}"
        self._started = self._sampled = now
        self._seq = self._event_seq = self._connections = 0
        self._refused: Refused | None = None
        self._refused_count = 0
        self._hot = self._was_hot = False
        self._runs = {model.name: self._new_runs(model.name, now, has=True) for model in MODELS[: plan.models]}
        # Devices of a fleet start at different times, so their samples are spread.
        self._health_at = now + self._chance.random() * plan.health_s if plan.health_s else math.inf
        self._samples_at = now + self._chance.random() * plan.model_s if plan.model_s else math.inf
        self._job_at = self._sometime(plan.jobs_per_hour, now) if plan.models else math.inf
        self._drops_at = math.inf

    @property
    def due(self) -> float:
        """When it next publishes something or loses its connection."""
        jobs = (runs.due for runs in self._runs.values())
        return min(self._health_at, self._samples_at, self._job_at, self._drops_at, *jobs)

    @property
    def working(self) -> bool:
        """Whether a job is running."""
        return any(runs.due < math.inf for runs in self._runs.values())

    @property
    def retained(self) -> list[tuple[DeviceKind, str]]:
        """Kind and leaf of every topic with a possible retained message of this device.

        The one that marks it as simulated is last: topics are cleared in this order, maybe not to the end.
        """
        leaves: list[tuple[DeviceKind, str]] = []
        for name, runs in self._runs.items():
            leaves += [*(("job", job) for job in runs.jobs), ("model", name)]
        return [*leaves, ("status", ""), ("info", "")]

    @property
    def offline(self) -> Said:
        """The status that the broker publishes as its will, and the device itself before a proper end."""
        return Said("status", "", self._status(online=False))

    def connected(self, now: float) -> list[Said]:
        """Its messages on a new connection."""
        self._connections += 1
        self._drops_at = self._sometime(self._plan.drops_per_hour, now)
        said = [self._online(now), self._info(now)]
        for runs in self._runs.values():
            said += self._all_of(runs, runs.report() if runs.jobs else None, now)
        if self._connections == 1:
            said.append(self._event(now, "started", message=f"edge-agent {__version__} runs (simulated)"))
        return said

    def drops(self, now: float) -> bool:
        """Whether it loses its connection now; True only once per loss."""
        drops = now >= self._drops_at
        if drops:
            self._drops_at = math.inf
        return drops

    def is_meant_by(self, targets: list[str]) -> bool:
        """Whether an order for ``targets`` is for this device."""
        return not {f"d/{self.id}", *(f"g/{group}" for group in self._plan.obeyed_groups)}.isdisjoint(targets)

    def away_s(self) -> float:
        """How long it stays away after losing its connection."""
        return self._chance.uniform(*_AWAY_S)

    def advance(self, now: float) -> list[Said]:
        """Its messages at ``now``."""
        said: list[Said] = []
        if now >= self._health_at:
            self._health_at = _after(self._health_at, self._plan.health_s, now)
            said += self._health(now)
        if now >= self._samples_at:
            self._samples_at = _after(self._samples_at, self._plan.model_s, now)
            said += self._samples(now)
        if now >= self._job_at:
            self._job_at = self._sometime(self._plan.jobs_per_hour, now)
            runs = self._chance.choice(list(self._runs.values()))
            runs.want(runs.newest_version + 1, "", now)
        for runs in self._runs.values():
            if now >= runs.due:
                said += self._go_on(runs, now)
        return said

    def order(self, model: str, version: int, job: str, now: float) -> list[Said]:
        """Start a pushed job, or refuse it like a real device; returns the immediate messages."""
        if model not in self._runs:
            self._runs[model] = self._new_runs(model, now, has=False)
        newer = version > self._runs[model].newest_version
        refused = self._runs[model].want(version, job, now)
        if refused:
            self._refused, self._refused_count = refused, self._refused_count + 1
            words = f"{model}: {refused.message}"
            return [self._online(now), self._event(now, "refused", refused, message=words)]
        if newer and self._refused and self._refused.model == model:
            self._refused = None
            return [self._online(now)]
        return []

    # -- messages

    def _go_on(self, runs: ModelRuns, now: float) -> Iterator[Said]:
        ended = runs.advance(now)
        yield from self._all_of(runs, ended or runs.report(), now)
        if ended is None:
            return
        if ended.status == "succeeded":
            yield self._info(now)
        yield self._event(now, _ENDS[ended.status], ended, message=ended.message)
        for job in runs.forget():
            yield Said("job", job, None)

    def _all_of(self, runs: ModelRuns, report: JobReport | None, now: float) -> Iterator[Said]:
        if report is not None:
            yield Said("job", report.job, self._stamped(report, now))
        yield Said("model", runs.model.name, self._stamped(runs.state(), now))

    def _online(self, now: float) -> Said:
        return Said("status", "", self._stamped(self._status(online=True), now))

    def _status(self, *, online: bool) -> DeviceStatus:
        version = f"{__version__}+{SIMULATED}"  # a will may be the only trace of the device, and must mark it
        return DeviceStatus(
            device=self.id,
            online=online,
            agent_version=version,
            refused=self._refused,
            refused_count=self._refused_count,
            boot_id=self._boot_id,
        )

    def _info(self, now: float) -> Said:
        info = DeviceInfo(
            device=self.id,
            groups=list(self._plan.groups),
            agent_version=__version__,
            board=f"{self._board.name} ({SIMULATED})",
            arch="aarch64",
            cpu=self._board.cpu,
            cores=self._board.cores,
            memory_bytes=self._board.memory_bytes,
            python="3.11.2",
            runtimes={RUNTIME: RUNTIME_VERSION},
            formats=["onnx", "tflite"],
            sources={"imu": {"kind": "serial", "channels": ["ax", "ay", "az", "gx", "gy", "gz"], "rate_hz": 50}},
            active=[runs.active for runs in self._runs.values() if runs.active],
            highest={name: runs.newest_version for name, runs in self._runs.items()},
            confinement=["seccomp", "rlimits"],
            features=[feature.name for feature in FEATURES],
        )
        return Said("info", "", self._stamped(info, now))

    def _health(self, now: float) -> Iterator[Said]:
        chance, board = self._chance, self._board
        load = chance.uniform(0.02, 0.2) + (chance.uniform(0.25, 0.7) if self.working else 0.0)
        day = math.sin((now % 86_400) / 86_400 * 2 * math.pi)
        temperature = round(board.idle_c + 4 * day + 32 * load + chance.gauss(0, 1), 1)
        hot = temperature >= (_COOL_C if self._hot else _HOT_C)
        if hot and not self._hot:
            words = f"the processor has {temperature} °C and is slowed down (simulated)"
            yield self._event(now, "throttled", message=words)
        self._hot, self._was_hot = hot, self._was_hot or hot
        health = Health(
            device=self.id,
            uptime_s=round(now - self._booted, 1),
            cpu_share=round(load, 4),
            load_1m=round(load * board.cores, 2),
            memory_available_bytes=int(board.memory_bytes * chance.uniform(0.55, 0.7)),
            swap_used_bytes=0,
            disk_free_bytes=int(chance.uniform(18e9, 19e9)),
            disk_written_bytes_per_day=round(chance.uniform(1e8, 3e8)),
            temperature_c=temperature,
            clock_hz=1.5e9 if hot else 1.8e9,
            throttled=hot,
            throttled_since_boot=self._was_hot,
            undervoltage=False,
            undervoltage_since_boot=False,
            agent_uptime_s=round(now - self._started, 1),
            agent_rss_bytes=int(chance.uniform(26e6, 29e6)),
            agent_cpu_share=round(chance.uniform(0.0005, 0.002), 5),
            reconnects=max(0, self._connections - 1),
        )
        yield Said("tele", HEALTH, self._stamped(health, now), retain=False, qos=0)

    def _samples(self, now: float) -> Iterator[Said]:
        chance, interval_s = self._chance, now - self._sampled
        self._sampled = now
        for name, runs in self._runs.items():
            if runs.p50_ms is None or runs.active is None:
                continue
            p50_ms = runs.p50_ms * chance.uniform(0.97, 1.1) * (1.2 if self._hot else 1.0)
            sample = ModelSample(
                device=self.id,
                model=name,
                version=runs.active.version,
                interval_s=round(interval_s, 3),
                applications=1,
                inferences=int(interval_s * runs.model.a_second),
                p50_ms=round(p50_ms, 3),
                p95_ms=round(p50_ms * chance.uniform(1.1, 1.4), 3),
                p99_ms=round(p50_ms * chance.uniform(1.5, 2.5), 3),
                rss_bytes=int(runs.model.float_bytes + 60e6),
                runtime=RUNTIME,
                stale=False,
            )
            yield Said("tele", MODEL_STREAMS + name, self._stamped(sample, now), retain=False, qos=0)

    def _event(self, now: float, kind: str, about: JobReport | Refused | None = None, *, message: str) -> Said:
        self._event_seq += 1
        event = Event(
            device=self.id,
            event_seq=self._event_seq,
            kind=kind,
            severity=EVENT_KINDS[kind].severity,
            message=message,
            code=about.code if about else "",
            model=about.model if about else "",
            version=about.version if isinstance(about, JobReport) else 0,
            job=about.job if about else "",
        )
        return Said("event", "", self._stamped(event, now), retain=False)

    def _stamped(self, message: Message, now: float) -> Message:
        self._seq += 1
        return msgspec.structs.replace(message, ts=rfc3339(now), seq=self._seq, boot_id=self._boot_id)

    # -- randomness

    def _sometime(self, per_hour: float, now: float) -> float:
        return now + self._chance.expovariate(per_hour / _HOUR_S) if per_hour else math.inf

    def _new_runs(self, name: str, now: float, *, has: bool) -> ModelRuns:
        return ModelRuns(self.id, known_model(name), self._plan, self._board, self._chance, now, has=has)


def _after(moment: float, every_s: float, now: float) -> float:
    """The next time of an interval; missed times are skipped."""
    return moment + every_s if moment + every_s > now else now + every_s
