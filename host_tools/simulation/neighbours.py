"""The devices in a namespace: simulated ones, and others that a simulation must not touch."""

from collections import defaultdict
from dataclasses import dataclass

from edge_agent.wire.messages import DeviceInfo, DeviceStatus
from edge_agent.wire.topics import DeviceKind, DeviceTopic
from host_tools.broker.registry import parse, readable
from host_tools.broker.session import Session
from host_tools.simulation.hardware import SIMULATED


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The device names with a retained status or info.

    Attributes:
        simulated: name → whether it reports that it is online.
        others: all devices without a readable sign that they are simulated: a real device may be offline, have a
            newer protocol than this command, or be half cleared.
    """

    simulated: dict[str, bool]
    others: set[str]


def read_neighbours(session: Session) -> Neighbours:
    """All devices that the broker knows."""
    topics = session.topics
    said: defaultdict[str, dict[DeviceKind, bytes]] = defaultdict(dict)
    for topic, payload in session.snapshot(topics.devices("status"), topics.devices("info")).items():
        match parse(topics, topic):
            case DeviceTopic(name, ("status" | "info") as kind):
                said[name][kind] = payload
    simulated = {name: _is_online(payloads) for name, payloads in said.items() if _is_simulated(payloads)}
    return Neighbours(simulated, said.keys() - simulated.keys())


def _is_simulated(payloads: dict[DeviceKind, bytes]) -> bool:
    if "info" in payloads:
        info = readable(payloads["info"], DeviceInfo)
        return info is not None and SIMULATED in info.board
    # Only the will is left of a device that was killed early.
    status = readable(payloads["status"], DeviceStatus)
    return status is not None and SIMULATED in status.agent_version


def _is_online(payloads: dict[DeviceKind, bytes]) -> bool:
    status = readable(payloads["status"], DeviceStatus) if "status" in payloads else None
    return status is not None and status.online
