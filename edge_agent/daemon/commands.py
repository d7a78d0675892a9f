"""What an operator tells the device: on the spot through the control socket, or signed through MQTT.

A remote command's id is saved before it is obeyed and kept until it expires, so it is obeyed once, whatever the
network does; a known id only has its ``done`` published again.
"""

import hashlib
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from edge_agent.daemon.admission.rules import Want
from edge_agent.daemon.control_socket import ControlRequest
from edge_agent.errors import EdgeAgentError, StoreError, TrustError, WireError
from edge_agent.jobs.job import Ended, cancelable
from edge_agent.state.releases import Release, Releases
from edge_agent.state.store import CommandRecord
from edge_agent.wire.manifest import decode_manifest
from edge_agent.wire.messages import Command, decode
from edge_agent.wire.timestamps import parse_rfc3339
from edge_agent.wire.topics import CommandTopic, Scope, WantTopic

if TYPE_CHECKING:
    from edge_agent.daemon.agent import Agent

log = logging.getLogger(__name__)

Answer = Callable[[dict[str, Any]], None]


class Commands:
    """Obeys rollback, cancel and recalibrate; answers status and releases."""

    def __init__(self, agent: "Agent") -> None:
        self._agent = agent
        self._under_way: set[str] = set()
        """Ids whose end is still to come: a rollback waits for the operator's hook."""

    def control(self, request: ControlRequest) -> None:
        """Answer a local command, whatever happens: somebody waits."""
        try:
            self._answer(request)
        except EdgeAgentError as error:
            request.refuse(error)
        except Exception as error:
            log.exception("internal: %s", request.action)
            request.refuse(StoreError("internal", f"{request.action} failed: {error!r}; see the daemon's log"))

    def _answer(self, request: ControlRequest) -> None:
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
        known = {id_: seen for id_, seen in agent.store.commands().items() if seen.expires > now}
        if command.id in known:
            self._again(topic, known[command.id])
            return
        if expires <= now:
            raise TrustError("expired", f"command {command.id} expired at {command.expires}")
        agent.store.save_commands({**known, command.id: CommandRecord(expires=expires)})
        self._under_way.add(command.id)
        log.info("command %s: %s %s", command.id, command.action, command.model or command.job)
        try:
            self._obey(command, lambda body: self._end(topic, "", str(body.get("message", ""))))
        except EdgeAgentError as error:
            self._end(topic, error.code, error.message)
        except Exception as error:
            log.exception("internal: command %s", command.id)
            self._end(topic, "internal", f"{command.action} failed here: {error!r}; see the device's log")

    def _again(self, topic: CommandTopic, seen: CommandRecord) -> None:
        """A known command came again: its end is all there is to say, and what was lost on the way is made good."""
        if seen.ended:
            self._say_end(topic, seen)
        elif topic.command not in self._under_way:
            text = "the device restarted while it obeyed; see host-tools devices for what is active, and ask again"
            self._end(topic, "not_active", text)

    def _end(self, topic: CommandTopic, code: str, message: str) -> None:
        """Save how a command ended, then say it."""
        if code:
            log.warning("command %s: %s: %s", topic.command, code, message)
        commands = self._agent.store.commands()
        expires = commands[topic.command].expires if topic.command in commands else 0.0
        ended = CommandRecord(expires=expires, ended=True, code=code, message=message)
        self._under_way.discard(topic.command)
        try:
            self._agent.store.save_commands({**commands, topic.command: ended})
        finally:
            self._say_end(topic, ended)

    def _say_end(self, topic: CommandTopic, ended: CommandRecord) -> None:
        self._agent.publisher.done(topic.command, ended.code, ended.message)
        if topic.scope.kind == "d":  # a device clears its own commands only; a group's are cleared by the host
            self._agent.publisher.clear(self._agent.config.topics.command(topic.scope, topic.command))

    def _obey(self, command: Command, answer: Answer) -> None:
        match command.action:
            case "rollback":
                self._rollback(command.model, command.version, answer)
            case "cancel":
                self._cancel(command.job, answer)
            case "recalibrate":
                self._recalibrate(command.model, command.version, command.id, answer)

    def _status(self) -> dict[str, Any]:
        agent = self._agent
        jobs = sorted(agent.jobs.values(), key=lambda job: job.created)
        return {
            "device": agent.config.device_id,
            "broker": agent.config.mqtt.url,
            "connected": agent.link.connected,
            "sensors": agent.sensors.as_dict(),
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
        if any(job.model == model and not job.ended for job in agent.jobs.values()):
            raise StoreError("locked", f"a job of {model} is under way; recalibrate when it has ended, or cancel it")
        content = (Releases(agent.store.models, model).path(release.name) / "manifest.json").read_bytes()
        topic = WantTopic(Scope("d", agent.config.device_id), model)
        job_id = hashlib.sha256(f"{release.digest}:{nonce}".encode()).hexdigest()[:16]
        manifest = msgspec.structs.replace(decode_manifest(content), expires="")  # that was for the push
        agent.accept(Want(topic, manifest, content, release.digest), job_id=job_id)
        answer({"message": f"job {job_id} recalibrates {model} {release.version}", "job": job_id})

    def _check_active(self, model: str, version: int) -> Release:
        releases = Releases(self._agent.store.models, model)
        release = releases.active()
        if release is None:
            raise releases.none_active()
        if version and release.version != version:
            raise StoreError("not_active", f"{model} {version} is not active here; {release.version} is")
        return release
