"""The largest payload of each topic. Pure."""

from edge_agent.errors import WireError
from edge_agent.wire.channels import channel_of
from edge_agent.wire.messages import MAX_ORDER_BYTES
from edge_agent.wire.topics import Topics


def most_bytes(topics: Topics, topic: str) -> int:
    """Return the largest payload at ``topic``, in bytes; for a topic outside the protocol, the limit of an order."""
    try:
        return channel_of(topics.parse(topic)).most_bytes
    except WireError:
        return MAX_ORDER_BYTES
