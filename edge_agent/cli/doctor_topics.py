"""``edge-agent doctor`` on the broker's ACL: whether this device may write to each of its topics.

By delivery: an empty message that is not retained goes to each, with QoS 1, as by MQTT 5 the broker then says whether
it took it. Every reader passes over an empty message. Only to ``status`` and ``info``, where a message is retained and
an empty one would say that it was cleared, goes ``{}``, which is no message of this protocol. Where a topic ends in a
name, it is one that no job, command or model has. What a broker refuses by MQTT 3.1.1 it does not say. Home
Assistant's topic is left alone, as an empty message there takes the device out of it.
"""

import threading
from collections.abc import Iterator
from functools import partial

from edge_agent.cli.check import Check
from edge_agent.mqtt import Link
from edge_agent.settings.device import Config
from edge_agent.wire.acl import line_for_device
from edge_agent.wire.telemetry import HEALTH
from edge_agent.wire.topics import DeviceKind, Scope, Topics

_ANSWER_TIMEOUT_S = 5.0
_NOBODY = "edge-agent-doctor"
_WITHOUT_NAME: tuple[DeviceKind, ...] = ("status", "info", "need", "event")
_WITH_NAME: tuple[DeviceKind, ...] = ("job", "done", "model")
_TELEMETRY = ("model", "event", "tele")
"""Without these a device does its work, and nobody sees how it does."""


def written_topics(topics: Topics, device: str) -> Iterator[str]:
    """One of each kind of topic that a device writes to."""
    for kind in _WITHOUT_NAME:
        yield topics.device(device, kind)
    for kind in _WITH_NAME:
        yield topics.device(device, kind, _NOBODY)
    yield topics.device(device, "tele", HEALTH)
    yield topics.model_stream(device, _NOBODY)
    yield topics.command(Scope("d", device), _NOBODY)


def check_topics(link: Link, config: Config) -> Check:
    """A check of all of them; ``link`` is connected."""
    if link.version != "5":
        detail = "the broker speaks MQTT 3.1.1, which does not say what is refused"
        return Check("topics", "ok", f"{detail}; docs/broker.md has the ACL that this device needs")
    refused, unanswered = _refused(link, list(written_topics(config.topics, config.device_id)))
    if unanswered:
        detail = f"the broker does not answer about {unanswered[0]}"
        return Check("topics", "warn", detail, "see how the broker does, and try again")
    if not refused:
        return Check("topics", "ok", "the broker lets this device write to each of its topics")
    lines = dict.fromkeys(line_for_device(config.topics, topic) for topic in refused)
    only_telemetry = all(line.split("/%u/")[1].startswith(_TELEMETRY) for line in lines)
    detail = f"the broker refuses what this device writes to {', '.join(refused)}"
    return Check(
        "topics", "warn" if only_telemetry else "fail", detail, "add to the broker's ACL:\n" + "\n".join(lines)
    )


def _refused(link: Link, written: list[str]) -> tuple[list[str], list[str]]:
    """Those of the topics that the broker refuses, and those that it says nothing about in time."""
    answers: dict[str, str] = {}
    one_more = threading.Semaphore(0)

    def answer(topic: str, reason: str) -> None:
        answers[topic] = reason
        one_more.release()

    sent = [link.publish(topic, _nothing(topic), qos=1, then=partial(answer, topic)).taken for topic in written]
    for _ in range(sum(sent)):
        if not one_more.acquire(timeout=_ANSWER_TIMEOUT_S):
            break
    return [topic for topic in written if answers.get(topic)], [topic for topic in written if topic not in answers]


def _nothing(topic: str) -> bytes:
    return b"{}" if topic.endswith(("/status", "/info")) else b""
