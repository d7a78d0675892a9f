"""The checks of ``edge-agent doctor`` on the broker's ACL: whether this device may write to each of its topics.

The check publishes an empty, not retained message with QoS 1 to each topic. With MQTT 5 the broker answers whether it
accepts a message; with MQTT 3.1.1 it does not. Readers ignore an empty message. ``status`` and ``info`` are retained,
so an empty message there would look like a cleared one. They get ``{}`` instead, which is no message of this protocol.
Topics that end in a name get one that no job, command or model has. Home Assistant's topic is left out, as an empty
message there removes the device.
"""

import threading
import time
from collections.abc import Iterator
from functools import partial

from edge_agent.cli.check import Check
from edge_agent.mqtt import Link
from edge_agent.settings.device import Config
from edge_agent.wire.acl import line_for_device
from edge_agent.wire.telemetry import HEALTH
from edge_agent.wire.topics import DeviceKind, Scope, Topics

_ANSWER_TIMEOUT_S = 5.0
_LOOK_S = 0.05
"""The interval of looks at the connection. The link waits longer before it connects again."""
_NOBODY = "edge-agent-doctor"
_WITHOUT_NAME: tuple[DeviceKind, ...] = ("status", "info", "need", "event")
_WITH_NAME: tuple[DeviceKind, ...] = ("job", "done", "model")
_TELEMETRY = ("model", "event", "tele")
"""A device works without these, but nobody sees its state."""


def written_topics(topics: Topics, device: str) -> Iterator[str]:
    """One topic of each kind that a device writes to."""
    for kind in _WITHOUT_NAME:
        yield topics.device(device, kind)
    for kind in _WITH_NAME:
        yield topics.device(device, kind, _NOBODY)
    yield topics.device(device, "tele", HEALTH)
    yield topics.model_stream(device, _NOBODY)
    yield topics.command(Scope("d", device), _NOBODY)


def check_topics(link: Link, config: Config) -> Check:
    """Check all topics; ``link`` is connected."""
    if link.version != "5":
        detail = "the broker speaks MQTT 3.1.1, which does not report refusals"
        return Check("topics", "ok", f"{detail}; docs/broker.md has the ACL that this device needs")
    written = list(written_topics(config.topics, config.device_id))
    answers = _answers(link, written)
    refused = [topic for topic in written if answers.get(topic)]
    unanswered = [topic for topic in written if topic not in answers]
    if not refused and not unanswered:
        return Check("topics", "ok", "the broker lets this device write to each of its topics")
    details = [f"the broker refuses what this device writes to {', '.join(refused)}"] if refused else []
    if unanswered and not link.connected:
        details.append(f"the broker closes the connection at what this device writes to {unanswered[0]}")
        refused.append(unanswered[0])
    elif unanswered:
        details.append(f"the broker does not answer about {unanswered[0]}")
    if not refused:
        return Check("topics", "warn", details[0], "check the broker, and try again")
    lines = dict.fromkeys(line_for_device(config.topics, topic) for topic in refused)
    only_telemetry = all(line.split("/%u/")[1].startswith(_TELEMETRY) for line in lines)
    remedy = "add to the broker's ACL:\n" + "\n".join(lines)
    if unanswered:
        remedy += "\nthen run edge-agent doctor again, for the topics after it"
    return Check("topics", "warn" if only_telemetry else "fail", "; ".join(details), remedy)


def _answers(link: Link, written: list[str]) -> dict[str, str]:
    """Topic → the reason of a refusal, empty if accepted; up to the first topic without an answer in time.

    One topic at a time: if the broker closes the connection at one topic, answers about earlier ones may be lost.
    """
    answers: dict[str, str] = {}
    answered = threading.Semaphore(0)

    def answer(topic: str, reason: str) -> None:
        answers[topic] = reason
        answered.release()

    for topic in written:
        deadline = time.monotonic() + _ANSWER_TIMEOUT_S
        if not link.publish(topic, _nothing(topic), qos=1, then=partial(answer, topic)).taken:
            break
        while not (came := answered.acquire(timeout=_LOOK_S)) and link.connected and time.monotonic() < deadline:
            pass
        if not came:
            break
    return dict(answers)


def _nothing(topic: str) -> bytes:
    return b"{}" if topic.endswith(("/status", "/info")) else b""
