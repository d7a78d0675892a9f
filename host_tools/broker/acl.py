"""The documented ACL's line that lets a host write to a topic, and messages for a missing line. Pure."""

from collections.abc import Sequence

from edge_agent.errors import WireError
from edge_agent.wire.topics import ChunkTopic, CommandTopic, DeviceTopic, PageTopic, Topics, WantTopic


def line_for(topics: Topics, topic: str) -> str:
    """The ACL line in mosquitto's syntax; empty for topics that no host should write to."""
    try:
        parsed = topics.parse(topic)
    except WireError:
        return ""
    match parsed:
        case ChunkTopic() | PageTopic():
            return f"topic readwrite {topics.namespace}/b/#"
        case WantTopic(scope) | CommandTopic(scope) if scope.kind == "g":
            return f"topic readwrite {topics.namespace}/g/#"
        case WantTopic():
            return f"topic write {topics.namespace}/d/+/want/+"
        case CommandTopic():
            return f"topic write {topics.namespace}/d/+/cmd/+"
        case DeviceTopic(kind="done"):
            return f"topic write {topics.namespace}/d/+/done/+"
    return ""


def refused(topics: Topics, topic: str, reason: str) -> str:
    """The message for a publish that the broker refused."""
    line = line_for(topics, topic)
    return f"the broker refused {topic}: {reason}" + (f'; its ACL needs the line "{line}"' if line else "")


def not_cleared(topics: Topics, left: Sequence[str]) -> str:
    """One line about retained messages that the broker refused to clear; empty if there are none."""
    if not left:
        return ""
    more = f" and {len(left) - 1} more" if len(left) > 1 else ""
    lines = dict.fromkeys(filter(None, (line_for(topics, topic) for topic in left)))
    needs = " and ".join(f'"{line}"' for line in lines)
    return f"the broker refused to clear {left[0]}{more}" + (f"; its ACL needs the line {needs}" if needs else "")
