"""The largest payload of each topic. Pure."""

from edge_agent.errors import WireError
from edge_agent.wire.channels import channel_of
from edge_agent.wire.messages import MAX_ORDER_BYTES
from edge_agent.wire.topics import Topics


def most_bytes(topics: Topics, topic: str) -> int:
    """The bytes that a payload at ``topic`` may have; of one that is not of this protocol, those of an order."""
    try:
        return channel_of(topics.parse(topic)).most_bytes
    except WireError:
        return MAX_ORDER_BYTES
