"""Publishes what the device says: status, info, job reports, ends of commands, and the chunks it needs.

Everything but ``need`` is retained, so whoever comes later sees the latest. On every connect all of it is published
again: a broker that lost everything heals.
"""

import time
from typing import Any, TypeVar

import msgspec

from edge_agent import __version__
from edge_agent.daemon.info_size import encode_info
from edge_agent.jobs.job import Job
from edge_agent.jobs.job_report import encode_report, job_report
from edge_agent.jobs.result import Result
from edge_agent.mqtt import Link, Sent
from edge_agent.mqtt.acknowledgements import Then
from edge_agent.state.clock import Clock
from edge_agent.wire.messages import DeviceInfo, DeviceStatus, Done, JobReport, Message, Need, Refused, encode
from edge_agent.wire.telemetry import ModelSample, ModelState
from edge_agent.wire.timestamps import rfc3339
from edge_agent.wire.topics import Topics

M = TypeVar("M", bound=Message)

REPORT_EVERY_S = 1.0
"""Progress of a job, and its report because somebody asks, is published at most this often; changes of state always."""


def offline(device: str, boot_id: str) -> bytes:
    """The will: what the broker says when this device is gone."""
    return encode(DeviceStatus(device=device, online=False, agent_version=__version__, boot_id=boot_id))


class Publisher:
    """The device's voice; used from the consumer only."""

    def __init__(self, link: Link, topics: Topics, device: str, clock: Clock, boot_id: str) -> None:
        self._link = link
        self._topics = topics
        self._device = device
        self._clock = clock
        self._boot_id = boot_id
        self._seq = 0
        self._refused: Refused | None = None
        self._refused_count = 0
        self._status_unsaid = False
        self._status_said = 0.0
        self._twin = ""
        self._reported: dict[str, float] = {}

    def status(self, *, online: bool = True) -> Sent:
        """Say whether the device is there, and what it refused last."""
        return self._say("status", "", encode(self._status(online=online)))

    def count_refused(self) -> None:
        """Count a want or command that is not obeyed, whether or not it is said by itself."""
        self._refused_count += 1

    def may_refuse(self) -> bool:
        """Whether a refusal would be said at once: only so does none take the place of another that is not said yet."""
        return time.monotonic() - self._status_said >= REPORT_EVERY_S

    def refuse(self, refused: Refused) -> None:
        """Say which want or command is not obeyed; ask :meth:`may_refuse` before."""
        self._refused = refused
        self._status_unsaid = True
        self.tick()

    def twin(self, why: str) -> None:
        """Another client connects by our id, because of which statuses say so from now on; ``""``: that is over."""
        if why != self._twin:
            self._twin = why
            self._status_unsaid = True

    def forget_refusal(self, model: str) -> None:
        """What was refused under this name is over: a newer order of it is obeyed."""
        if self._refused and self._refused.model == model:
            self._refused = None
            self._status_unsaid = True
            self.tick()

    def tick(self) -> None:
        """Say a refusal, a twin, or the end of either; at most once a second, as anybody may provoke it."""
        if self._status_unsaid and self.may_refuse():
            self._status_unsaid = False
            self._status_said = time.monotonic()
            self.status()

    def stamp(self) -> Message:
        """What each message carries: time, number, boot."""
        return Message(ts=rfc3339(self._clock.now()), seq=self._next(), boot_id=self._boot_id)

    def info(self, info: DeviceInfo) -> None:
        """Say what the device is and has."""
        self._say("info", "", encode_info(self._stamped(info)))

    def report_due(self, job: str) -> bool:
        """Whether a report that tells no change of state may be said again already."""
        return time.monotonic() - self._reported.get(job, 0.0) >= REPORT_EVERY_S

    def report(self, job: Job, result: Result, *, release: str = "") -> bytes:
        """Say where a job stands; returns what was said."""
        data = encode_report(
            job_report(
                job,
                device=self._device,
                boot_id=self._boot_id,
                seq=self._next(),
                now=self._clock.now(),
                message=result.message,
                release=release,
            ),
            result,
        )
        self.republish(job.id, data)
        return data

    def republish(self, job: str, report: bytes) -> None:
        """Say a report again as it was, or clear it with ``b""``."""
        if report:
            self._reported[job] = time.monotonic()
        else:
            self._reported.pop(job, None)
        self._say("job", job, report)

    def answer(self, report: JobReport) -> None:
        """Say how a job ended that is not kept here, to whoever listens now: the broker does not keep it."""
        ours = self._stamped(msgspec.structs.replace(report, device=self._device))
        self._link.publish(self._topics.device(self._device, "job", report.job), encode(ours), qos=1)

    def done(self, command: str, code: str = "", message: str = "") -> None:
        """Say how a command ended."""
        end = Done(device=self._device, command=command, code=code, message=message)
        self._say("done", command, encode(self._stamped(end)))

    def model_state(self, model: str, state: ModelState | None, then: Then) -> Sent:
        """Say what runs under a model name and what its newest job does; None: nothing is left of it.

        ``then`` is called once, from any thread, with "" when the broker has it, else with why it has not.
        """
        return self._say("model", model, encode(self._stamped(state)) if state is not None else b"", then)

    def model_sample(self, sample: ModelSample) -> None:
        """Say what serving did with a model; nobody keeps it."""
        topic = self._topics.model_stream(self._device, sample.model)
        self._link.publish(topic, encode(self._stamped(sample)), qos=0)

    def need(self, need: Need) -> None:
        """Ask for chunks that the broker no longer has."""
        self._link.publish(self._topics.device(self._device, "need"), encode(self._stamped(need)), qos=1)

    def clear(self, topic: str) -> None:
        """Clear a retained message that this device may clear: a command it has obeyed."""
        self._link.publish(topic, b"", retain=True, qos=1)

    def _say(self, kind: Any, leaf: str, payload: bytes, then: Then | None = None) -> Sent:
        topic = self._topics.device(self._device, kind, leaf)
        return self._link.publish(topic, payload, retain=True, qos=1, then=then)

    def _stamped(self, message: M) -> M:
        stamp = self.stamp()
        return msgspec.structs.replace(message, ts=stamp.ts, seq=stamp.seq, boot_id=stamp.boot_id)

    def _status(self, *, online: bool) -> DeviceStatus:
        return DeviceStatus(
            device=self._device,
            online=online,
            agent_version=__version__,
            refused=self._refused,
            refused_count=self._refused_count,
            clock_plausible=self._clock.plausible,
            twin=self._twin or msgspec.UNSET,
            ts=rfc3339(self._clock.now()),
            seq=self._next(),
            boot_id=self._boot_id,
        )

    def _next(self) -> int:
        """Milliseconds since the epoch, never twice: it goes on rising across boots without being stored."""
        self._seq = max(self._seq + 1, int(self._clock.now() * 1000))
        return self._seq
