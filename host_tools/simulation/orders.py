"""Reads pushed manifests as orders for simulated devices. Pure.

No signature is checked: a simulated device has no keys, and nothing to protect.
"""

from functools import lru_cache

from edge_agent.errors import WireError
from edge_agent.wire.digests import content_digest, job_id
from edge_agent.wire.envelope import MANIFEST_TYPE, unseal
from edge_agent.wire.manifest import Manifest, decode_manifest
from edge_agent.wire.messages import MAX_ORDER_BYTES


def read_order(payload: bytes) -> tuple[Manifest, str] | None:
    """The manifest in a want, and its job; None if it is invalid. A group's want arrives once for each device."""
    return _read(payload) if 0 < len(payload) <= MAX_ORDER_BYTES else None


@lru_cache(maxsize=64)
def _read(payload: bytes) -> tuple[Manifest, str] | None:
    try:
        content = unseal(payload, MANIFEST_TYPE).content()
        return decode_manifest(content), job_id(content_digest(content))
    except WireError:
        return None
