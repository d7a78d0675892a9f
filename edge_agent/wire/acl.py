"""The line of a mosquitto ACL that lets a device write to a topic, as in ``docs/broker.md``. Pure."""

from edge_agent.errors import WireError
from edge_agent.wire.topics import CommandTopic, DeviceTopic, Topics


def line_for_device(topics: Topics, topic: str) -> str:
    """Return the ACL line; empty for a topic that no device may write to."""
    try:
        parsed = topics.parse(topic)
    except WireError:
        return ""
    match parsed:
        case CommandTopic(scope) if scope.kind == "d":
            return f"pattern readwrite {topics.namespace}/d/%u/cmd/+"
        case DeviceTopic(kind=("job" | "done" | "model") as kind):
            return f"pattern write {topics.namespace}/d/%u/{kind}/+"
        case DeviceTopic(kind="tele"):
            return f"pattern write {topics.namespace}/d/%u/tele/#"
        case DeviceTopic(kind=kind):
            return f"pattern write {topics.namespace}/d/%u/{kind}"
    return ""
