"""A signed command with an expiry, and the answers of devices to it.

The command stays at the broker until it expires, so an offline device executes it if it returns in time. A device
clears its own commands; the host clears a group's once every device of the group has answered. The host clears answers
after reading them. If the broker refuses to clear something, a message says so, and the answers remain valid.
"""

import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_agent.errors import BrokerError, ConfigError
from edge_agent.wire.envelope import COMMAND_TYPE
from edge_agent.wire.messages import Command, DeviceStatus, Done, encode
from edge_agent.wire.timestamps import rfc3339
from edge_agent.wire.topics import DeviceTopic, Scope
from host_tools.broker.command_line import command_line
from host_tools.broker.registry import Device, addressed, parse, read_devices, read_reports, readable
from host_tools.broker.session import Session, to_stderr
from host_tools.broker.settings import Settings
from host_tools.broker.signing import enclose_order
from host_tools.exits import FAILED, TIMED_OUT, UNTRUSTED

_HOUR_S = 3600.0
_TICK_S = 0.5
_OF_ANY_VERSION = ("forget",)


@dataclass(frozen=True, slots=True)
class Answer:
    """A device's answer; an empty ``code`` means success, ``pending`` that there is no answer yet."""

    code: str
    message: str
    exit: int


class Watcher:
    """Receives the progress of an order; this base class prints :class:`Session`'s messages on stderr and no more."""

    def say(self, text: str) -> None:
        """Print a sentence for a person."""
        to_stderr(text)

    def sent(self, command: Command, devices: Iterable[str]) -> None:
        """Note that the command is at the broker for these devices, or may be if the connection has broken."""

    def answered(self, device: str, answer: Answer) -> None:
        """Note a device's answer."""


def active_version(model: str, devices: Mapping[str, Device], see: str) -> int:
    """The active version of ``model`` on ``devices``; ``see``: the command that lists active releases.

    Raises:
        ConfigError: ``not_active`` if no device runs it; ``usage`` if devices run different versions.
    """
    versions = {
        device.id: release.version
        for device in devices.values()
        if device.info
        for release in device.info.active
        if release.model == model
    }
    if not versions:
        raise ConfigError("not_active", f"none of these devices reports that it runs {model!r}; see {see}")
    if len(set(versions.values())) > 1:
        which = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
        raise ConfigError("usage", f"different versions of {model} are active ({which}); give --version")
    return next(iter(versions.values()))


def scopes_of_job(session: Session, job: str) -> list[Scope]:
    """The devices on which ``job`` has not ended; raises ``ConfigError`` (not_active) if there is none."""
    reports = read_reports(session, sorted(read_devices(session)), job)
    names = [report.device for report in reports if not report.ended]
    if not names:
        ended = f"; it has ended as {reports[0].status}" if reports else ""
        raise ConfigError("not_active", f"no device works on a job {job!r}{ended}")
    return [Scope("d", name) for name in names]


def new_command(settings: Settings, scopes: Sequence[Scope], expires_h: float, **what: Any) -> Command:
    """A command for ``scopes``; ``what`` is its action with the model or job."""
    now = time.time()
    return Command(
        namespace=settings.namespace,
        id=secrets.token_hex(8),
        targets=[str(scope) for scope in scopes],
        created=rfc3339(now, timespec="seconds"),
        expires=rfc3339(now + expires_h * _HOUR_S, timespec="seconds"),
        **what,
    )


def place(session: Session, topics: Iterable[str], order: bytes, sent: Callable[[], object]) -> None:
    """Publish ``order`` to each of ``topics``; ``sent`` is called once the first may have arrived at the broker."""
    reported = False
    for topic in topics:
        refused = False
        try:
            session.publish(topic, order)
        except BrokerError as error:
            refused = error.code == "broker_refused"
            raise
        finally:
            if not (reported or refused):
                reported = True
                sent()


def send(
    session: Session,
    scopes: Sequence[Scope],
    command: str,
    envelope: bytes,
    sent: Callable[[], object] = lambda: None,
) -> None:
    """Subscribe to the devices' answers and publish the command; ``sent``: as for :func:`place`."""
    session.subscribe(session.topics.device("+", "done", command), session.topics.devices("status"))
    place(session, (session.topics.command(scope, command) for scope in scopes), envelope, sent)


def collect(
    session: Session,
    scopes: Sequence[Scope],
    command: str,
    devices: Mapping[str, Device],
    timeout_s: float,
    *,
    keep: bool = False,
    heard: Callable[[str, Answer], object] = lambda _device, _answer: None,
) -> dict[str, Answer]:
    """The answers of devices until ``timeout_s``; then clear the messages that need not stay at the broker.

    Args:
        session: the connection.
        scopes: scopes that the command was sent to.
        command: id of the command.
        devices: devices whose answers are expected.
        timeout_s: how long to wait.
        keep: whether the command must stay for devices that appear later.
        heard: called with each answer when it arrives.
    """
    answers: dict[str, Answer] = {}
    left: list[str] = []
    deadline = time.monotonic() + timeout_s
    while len(answers) < len(devices) and (remaining := deadline - time.monotonic()) > 0:
        incoming = session.next(min(_TICK_S, remaining))
        topic = parse(session.topics, incoming.topic) if incoming else None
        if incoming is None or not isinstance(topic, DeviceTopic) or topic.device not in devices:
            continue
        if answer := _answer(topic, incoming.payload, command):
            answers[topic.device] = answer
            heard(topic.device, answer)
            if topic.kind == "done":
                left += session.clear([incoming.topic])
    if len(answers) == len(devices) and not keep:
        left += session.clear(session.topics.command(scope, command) for scope in scopes if scope.kind == "g")
    session.say_left(left)
    for device in devices.values():
        if device.id not in answers:
            text = "no answer yet" if device.online else "offline; it obeys when it is back, until the command expires"
            answers[device.id] = Answer("pending", text, TIMED_OUT)
    return {name: answers[name] for name in devices}


def order(
    settings: Settings,
    scopes: Sequence[Scope] | None,
    *,
    timeout_s: float,
    expires_h: float,
    watcher: Watcher | None = None,
    **what: Any,
) -> dict[str, Answer]:
    """Send a command and collect the answers.

    Args:
        settings: the broker and the signing key.
        scopes: target scopes; None: the devices on which the job runs.
        timeout_s: how long to wait for answers.
        expires_h: hours for which a device may execute it.
        watcher: receives the progress.
        what: ``action``, and ``model`` with ``version`` (0: the active one), or ``job``.
    """
    watcher = watcher or Watcher()
    with Session(settings, watcher.say) as session:
        chosen = list(scopes_of_job(session, what["job"]) if scopes is None else scopes)
        devices = addressed(read_devices(session), chosen)
        if what.get("model") and not what.get("version") and what["action"] not in _OF_ANY_VERSION:
            what["version"] = active_version(what["model"], devices, command_line(settings, "host-tools", "devices"))
        command = new_command(settings, chosen, expires_h, **what)
        envelope = enclose_order(encode(command), COMMAND_TYPE, settings.sign)
        try:
            send(session, chosen, command.id, envelope, lambda: watcher.sent(command, devices))
            return collect(session, chosen, command.id, devices, timeout_s, heard=watcher.answered)
        except KeyboardInterrupt:
            session.say(f"the command stays at the broker until {command.expires}, and devices obey it until then")
            raise


def exit_of_answers(answers: Mapping[str, Answer]) -> int:
    """The first of 6, 5, 7 that applies, or 0."""
    exits = {answer.exit for answer in answers.values()}
    return next((code for code in (UNTRUSTED, FAILED, TIMED_OUT) if code in exits), 0)


def _answer(topic: DeviceTopic, payload: bytes, command: str) -> Answer | None:
    match topic.kind:
        case "done":
            done = readable(payload, Done)
            if done and done.command == command:
                return Answer(done.code, done.message, FAILED if done.code else 0)
        case "status":
            status = readable(payload, DeviceStatus)
            # A device cannot read the content of a command that it does not trust, so its refusal names the id.
            if status and status.refused and status.refused.model == command:
                return Answer(status.refused.code, status.refused.message, UNTRUSTED)
    return None
