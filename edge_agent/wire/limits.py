"""The largest payload of each topic. Pure."""

from edge_agent.errors import WireError
from edge_agent.wire.chunks import CHUNK_BYTES, DIGEST_BYTES, PAGE_DIGESTS
from edge_agent.wire.messages import MAX_ORDER_BYTES, MAX_REPORT_BYTES
from edge_agent.wire.topics import ChunkTopic, CommandTopic, DeviceTopic, PageTopic, Topics, WantTopic


def most_bytes(topics: Topics, topic: str) -> int:
    """The bytes that a payload at ``topic`` may have; of one that is not of this protocol, those of an order."""
    try:
        parsed = topics.parse(topic)
    except WireError:
        return MAX_ORDER_BYTES
    match parsed:
        case ChunkTopic():
            return CHUNK_BYTES
        case PageTopic():
            return PAGE_DIGESTS * DIGEST_BYTES
        case WantTopic() | CommandTopic():
            return MAX_ORDER_BYTES
        case DeviceTopic():
            return MAX_REPORT_BYTES
