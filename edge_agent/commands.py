"""What an operator tells the device: on the spot through the control socket, or signed through MQTT.

A remote command's id is saved before it is obeyed and kept until it expires, so it is obeyed once, whatever the
network does; a known id only has its ``done`` published again.
"""

import hashlib
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from edge_agent.clock import parse_rfc3339
from edge_agent.control import ControlRequest
from edge_agent.errors import EdgeAgentError, StoreError, TrustError, WireError
from edge_agent.job import Ended, cancelable
from edge_agent.orders import Want
from edge_agent.releases import Release, Releases
from edge_agent.wire.manifest import decode_manifest
from edge_agent.wire.messages import Command, decode
from edge_agent.wire.topics import CommandTopic, Scope, WantTopic

if TYPE_CHECKING:
    from edge_agent.agent import Agent

log = logging.getLogger(__name__)

Answer = Callable[[dict[str, Any]], None]


class Commands:
    """Obeys rollback, cancel and recalibrate; answers status and releases."""

    def __init__(self, agent: "Agent") -> None:
        self._agent = agent

    def control(self, request: ControlRequest) -> None:
        """Answer a local command."""
        try:
            match request.action:
                case "status":
                    request.reply(self._status())
                case "rollback":
                    self._rollback(request.subject, 0, request.reply)
                case "cancel":
                    self._cancel(request.subject, request.reply)
                case "recalibrate":
                    self._recalibrate(request.subject, 0, f"local-{self._agent.clock.now()}", request.reply)
                case _:
                    raise StoreError("usage", f"the daemon knows no command {request.action!r}")
        except EdgeAgentError as error:
            request.refuse(error)

    def remote(self, topic: CommandTopic, content: bytes) -> None:
        """Obey a trusted command from MQTT, once; raises ``WireError`` or ``TrustError`` if it is not for us."""
        agent = self._agent
        command = decode(content, Command)
        if command.id != topic.command or str(topic.scope) not in command.targets:
            raise TrustError("wrong_target", f"command {command.id} was found at {topic.scope}/cmd/{topic.command}")
        if command.namespace != agent.config.mqtt.namespace:
            raise TrustError("wrong_target", f"command {command.id} is of namespace {command.namespace}")
        expires = parse_rfc3339(command.expires)
        if expires is None:
            raise WireError("malformed", f"command {command.id} has no valid expiry")
        now = agent.clock.now()
        known = {id_: until for id_, until in agent.store.commands().items() if until > now}
        if command.id in known:
            agent.publisher.done(command.id, "", "obeyed before")
            self._clear(topic)
            return
        if expires <= now:
            raise TrustError("expired", f"command {command.id} expired at {command.expires}")
        agent.store.save_commands({**known, command.id: expires})
        log.info("command %s: %s %s", command.id, command.action, command.model or command.job)
        try:
            self._obey(command, lambda body: agent.publisher.done(command.id, "", str(body.get("message", ""))))
        except EdgeAgentError as error:
            log.warning("command %s: %s", command.id, error)
            agent.publisher.done(command.id, error.code, error.message)
        self._clear(topic)

    def _obey(self, command: Command, answer: Answer) -> None:
        match command.action:
            case "rollback":
                self._rollback(command.model, command.version, answer)
            case "cancel":
                self._cancel(command.job, answer)
            case "recalibrate":
                self._recalibrate(command.model, command.version, command.id, answer)

    def _clear(self, topic: CommandTopic) -> None:
        """A device clears its own commands only; a group's is cleared by the host."""
        if topic.scope.kind == "d":
            self._agent.publisher.clear(self._agent.config.topics.command(topic.scope, topic.command))

    def _status(self) -> dict[str, Any]:
        agent = self._agent
        jobs = sorted(agent.jobs.values(), key=lambda job: job.created)
        return {
            "device": agent.config.device_id,
            "broker": agent.config.mqtt.url,
            "connected": agent.link.connected,
            "jobs": [msgspec.to_builtins(job) for job in jobs],
            "active": [msgspec.to_builtins(release) for release in agent.identity.active(agent.store)],
        }

    def _rollback(self, model: str, version: int, answer: Answer) -> None:
        self._check_active(model, version)

        def done(release: Release, problem: str) -> None:
            text = f"{model} {release.version} is active again"
            answer({"message": f"{text}; {problem}" if problem else text, "active": release.name, "hook": problem})

        self._agent.roll_back(model, done)

    def _cancel(self, job_id: str, answer: Answer) -> None:
        job = self._agent.jobs.get(job_id)
        if job is None or job.ended:
            raise StoreError("not_active", f"no job {job_id!r} is under way here")
        if not cancelable(job):
            raise StoreError("not_active", f"job {job_id} is being activated; roll back when it has ended")
        self._agent.end(job_id, Ended("canceled", "an operator canceled the job"))
        answer({"message": f"job {job_id} is canceled"})

    def _recalibrate(self, model: str, version: int, nonce: str, answer: Answer) -> None:
        """A new job from the active release's manifest: new data, new verdict, same version."""
        agent = self._agent
        release = self._check_active(model, version)
        content = (agent.release_path(model, release.name) / "manifest.json").read_bytes()
        topic = WantTopic(Scope("d", agent.config.device_id), model)
        job_id = hashlib.sha256(f"{release.digest}:{nonce}".encode()).hexdigest()[:16]
        agent.accept(Want(topic, decode_manifest(content), content, release.digest), job_id=job_id)
        answer({"message": f"job {job_id} recalibrates {model} {release.version}", "job": job_id})

    def _check_active(self, model: str, version: int) -> Release:
        release = Releases(self._agent.store.models, model).active()
        if release is None:
            raise StoreError("not_active", f"no release of {model!r} is active here")
        if version and release.version != version:
            raise StoreError("not_active", f"{model} {version} is not active here; {release.version} is")
        return release
