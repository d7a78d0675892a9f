"""Which line of a broker's ACL lets a device write to a topic, as ``docs/broker.md`` has them for mosquitto. Pure."""

from edge_agent.errors import WireError
from edge_agent.wire.topics import DeviceTopic, Topics


def line_for_device(topics: Topics, topic: str) -> str:
    """The line; empty where no device should write, which is every topic that is no device's own."""
    try:
        parsed = topics.parse(topic)
    except WireError:
        return ""
    if not isinstance(parsed, DeviceTopic):
        return ""
    below = {"tele": "/#", "job": "/+", "done": "/+", "model": "/+"}.get(parsed.kind, "")
    return f"pattern write {topics.namespace}/d/%u/{parsed.kind}{below}"
