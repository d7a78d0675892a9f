"""The identity of a manifest's content: its digest, the id of its job, and the digest of its inputs alone.

A digest is taken from the raw JSON, so host and device agree on it even if one knows fields that the other does not.
"""

import hashlib
from typing import Any

import msgspec

from edge_agent.errors import WireError
from edge_agent.strict import UNDECODABLE
from edge_agent.wire.features import as_encoded
from edge_agent.wire.manifest import FEATURES, InputContract

_NOT_CONTENT = ("created", "expires", "targets")


def content_digest(data: bytes) -> str:
    """Return the SHA-256 (hex) of the manifest's content: all fields but ``created``, ``expires`` and ``targets``.

    So pushing the same model twice, or first to a device and then to its group, gives the same job.
    """
    try:
        fields = msgspec.json.decode(data, type=dict[str, Any])
    except UNDECODABLE as error:
        raise WireError("malformed", f"manifest: {error}") from None
    content = {key: value for key, value in fields.items() if key not in _NOT_CONTENT}
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()


def job_id(digest: str) -> str:
    """Return the job id of a manifest: the first 16 hex digits of its content digest."""
    return digest[:16]


def contract_digest(inputs: list[InputContract]) -> str:
    """Return the SHA-256 (hex) of an input contract: a verdict holds only for data prepared by the same contract."""
    return hashlib.sha256(msgspec.json.encode(as_encoded(inputs, FEATURES), order="sorted")).hexdigest()
