"""MQTT: the ``link`` to the broker, over one ``client`` (the only file that imports paho), and its ``events``."""

from edge_agent.mqtt.events import Connected, Disconnected, Event, Incoming, Oversized, SubscribeFailed
from edge_agent.mqtt.link import Link
from edge_agent.mqtt.sent import Sent

__all__ = [
    "Connected",
    "Disconnected",
    "Event",
    "Incoming",
    "Link",
    "Oversized",
    "Sent",
    "SubscribeFailed",
]
