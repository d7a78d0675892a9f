"""The message by which Home Assistant discovers a device with all its entities. Pure.

Topic: ``<prefix>/device/edge-agent/<device>/config``, retained. One unknown key at the top level makes Home Assistant
reject the whole device. Home Assistant removes an entity only if the message names it with its ``platform`` alone; an
entity that the message merely omits stays for ever.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from edge_agent.printable import printable
from edge_agent.telemetry.entities import Entity, availability, device_entities, model_entities
from edge_agent.wire.topics import Topics

MOST_BYTES = 120 * 1024
"""Size limit of the message; AWS IoT Core allows 128 KB."""
_MOST_OF_ENTITIES = 96 * 1024
_MOST_BOARD = 100


@dataclass(frozen=True, slots=True)
class Described:
    """The device as Home Assistant shows it.

    Attributes:
        device: its id.
        topics: the topics of its namespace.
        board: board name as the firmware reports it; empty if unknown.
        agent_version: version of this software.
        health_s: interval between health messages; 0 for none.
        model_s: interval between serving samples; 0 for none.
    """

    device: str
    topics: Topics
    board: str
    agent_version: str
    health_s: int
    model_s: int

    @property
    def identifier(self) -> str:
        """See :func:`identifier`."""
        return identifier(self.topics, self.device)


def identifier(topics: Topics, device: str) -> str:
    """An id that is unique among all devices and namespaces that may share a broker; ASCII."""
    return f"edge-agent:{topics.namespace}:{device}"


def discovery_topic(prefix: str, device: str) -> str:
    """The topic of the discovery message; the device id has a level of its own, so that an ACL pattern can match it."""
    return f"{prefix}/device/edge-agent/{device}/config"


def entities(described: Described, models: Iterable[str]) -> tuple[dict[str, Entity], list[str]]:
    """The entities of the device and of as many ``models``, in order, as fit the message; then the models left out."""
    found = _own(described, device_entities(described.topics, described.device, described.health_s))
    used, left_out = len(msgspec.json.encode(found)), []
    for model in models:
        more = _own(described, model_entities(described.topics, described.device, model, described.model_s))
        size = len(msgspec.json.encode(more))
        if used + size > _MOST_OF_ENTITIES:
            left_out.append(model)
            continue
        used += size
        found |= more
    return found, left_out


def discovery(described: Described, found: Mapping[str, Entity], gone: Mapping[str, str]) -> bytes:
    """The encoded discovery message.

    Args:
        described: the device.
        found: its entities by id.
        gone: entities that Home Assistant should remove, id → platform; included as far as the size limit allows.
    """
    components = dict(found)
    message = {
        "device": {
            "identifiers": [described.identifier],
            "name": described.device,
            "manufacturer": "edge-agent",
            "sw_version": described.agent_version,
            **({"model": board} if (board := printable(described.board, _MOST_BOARD)) else {}),
        },
        "origin": {"name": "edge-agent", "sw_version": described.agent_version},
        "availability": availability(described.topics, described.device),
        "components": components,
    }
    room = MOST_BYTES - len(msgspec.json.encode(message))
    for key, platform in gone.items():
        room -= len(key) + len(platform) + len('"":{"platform":""},')
        if room < 0:
            break
        components[key] = {"platform": platform}
    return msgspec.json.encode(message)


def _own(described: Described, found: Mapping[str, Entity]) -> dict[str, Entity]:
    return {key: {**entity, "unique_id": f"{described.identifier}:{key}"} for key, entity in found.items()}
