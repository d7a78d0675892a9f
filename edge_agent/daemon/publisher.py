"""Publishes the device's messages: status, info, job reports, results of commands, and requests for missing chunks.

All but ``need`` are retained, so that late subscribers get the latest one. Every connect publishes all of them again,
which repairs a broker that has lost its state.
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
"""Shortest interval between a job's progress reports, or requested reports; a change of state is always published."""


def offline(device: str, boot_id: str) -> bytes:
    """The will: the status that the broker publishes when this device is gone."""
    return encode(DeviceStatus(device=device, online=False, agent_version=__version__, boot_id=boot_id))


class Publisher:
    """Publishes for the device; used from the consumer only."""

    def __init__(self, link: Link, topics: Topics, device: str, clock: Clock, boot_id: str) -> None:
        self._link = link
        self._topics = topics
        self._device = device
        self._clock = clock
        self._boot_id = boot_id
        self._seq = 0
        self._refused: Refused | None = None
        self._refused_count = 0
        self._status_is_pending = False
        self._status_published_at = 0.0
        self._twin = ""
        self._reported: dict[str, float] = {}

    def status(self, *, online: bool = True) -> Sent:
        """Publish whether the device is online, and its last refusal."""
        return self._publish("status", "", encode(self._status(online=online)))

    def count_refused(self) -> None:
        """Count a refused want or command, whether or not it is reported individually."""
        self._refused_count += 1

    def may_refuse(self) -> bool:
        """Whether a refusal would be published at once, so that it replaces no unpublished one."""
        return time.monotonic() - self._status_published_at >= REPORT_EVERY_S

    def refuse(self, refused: Refused) -> None:
        """Publish the refusal of a want or command; call :meth:`may_refuse` first."""
        self._refused = refused
        self._status_is_pending = True
        self.tick()

    def twin(self, why: str) -> None:
        """Report another client with this device's id in every status from now on; ``""`` ends that."""
        if why != self._twin:
            self._twin = why
            self._status_is_pending = True

    def forget_refusal(self, model: str) -> None:
        """Clear the refusal under this name: a newer order of it is executed."""
        if self._refused and self._refused.model == model:
            self._refused = None
            self._status_is_pending = True
            self.tick()

    def tick(self) -> None:
        """Publish a changed refusal or twin, at most once a second, as anybody may cause one."""
        if self._status_is_pending and self.may_refuse():
            self._status_is_pending = False
            self._status_published_at = time.monotonic()
            self.status()

    def stamp(self) -> Message:
        """The fields of every message: time, sequence number, boot id."""
        return Message(ts=rfc3339(self._clock.now()), seq=self._next(), boot_id=self._boot_id)

    def info(self, info: DeviceInfo) -> None:
        """Publish the facts about the device."""
        self._publish("info", "", encode_info(self._stamped(info)))

    def report_due(self, job: str) -> bool:
        """Whether a report without a change of state may be published again already."""
        return time.monotonic() - self._reported.get(job, 0.0) >= REPORT_EVERY_S

    def report(self, job: Job, result: Result, *, release: str = "") -> bytes:
        """Publish the state of a job; returns the encoded report."""
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
        """Publish a stored report again, or clear it with ``b""``."""
        if report:
            self._reported[job] = time.monotonic()
        else:
            self._reported.pop(job, None)
        self._publish("job", job, report)

    def answer(self, report: JobReport) -> None:
        """Publish, without retaining it, how a job ended that is not stored here."""
        ours = self._stamped(msgspec.structs.replace(report, device=self._device))
        self._link.publish(self._topics.device(self._device, "job", report.job), encode(ours), qos=1)

    def done(self, command: str, code: str = "", message: str = "") -> None:
        """Publish the result of a command."""
        end = Done(device=self._device, command=command, code=code, message=message)
        self._publish("done", command, encode(self._stamped(end)))

    def model_state(self, model: str, state: ModelState | None, then: Then) -> Sent:
        """Publish a model name's active release and newest job; None clears the message.

        ``then`` is called once, from any thread, with "" when the broker has acknowledged it, otherwise with the
        reason.
        """
        return self._publish("model", model, encode(self._stamped(state)) if state is not None else b"", then)

    def model_sample(self, sample: ModelSample) -> None:
        """Publish a model's serving statistics, not retained."""
        topic = self._topics.model_stream(self._device, sample.model)
        self._link.publish(topic, encode(self._stamped(sample)), qos=0)

    def need(self, need: Need) -> None:
        """Request chunks that the broker no longer has."""
        self._link.publish(self._topics.device(self._device, "need"), encode(self._stamped(need)), qos=1)

    def clear(self, topic: str) -> None:
        """Clear a retained message that this device may clear: an executed command."""
        self._link.publish(topic, b"", retain=True, qos=1)

    def _publish(self, kind: Any, leaf: str, payload: bytes, then: Then | None = None) -> Sent:
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
        """Milliseconds since the epoch, or more to stay unique: rises across boots without being stored."""
        self._seq = max(self._seq + 1, int(self._clock.now() * 1000))
        return self._seq
