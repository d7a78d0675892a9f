"""MQTT: the link to the broker (``link``, the only file that imports paho), its ``events`` and its ``options``."""

from edge_agent.mqtt.events import Connected, Disconnected, Event, Incoming, SubscribeFailed
from edge_agent.mqtt.link import Link, Sent
from edge_agent.mqtt.options import LinkOptions, parse_url

__all__ = [
    "Connected",
    "Disconnected",
    "Event",
    "Incoming",
    "Link",
    "LinkOptions",
    "Sent",
    "SubscribeFailed",
    "parse_url",
]
