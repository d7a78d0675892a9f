"""The layout of a blob: chunks, groups of chunks, pages of chunk digests. Arithmetic only, no I/O.

A blob (a model's bytes) is named by its SHA-256. Chunk ``i`` holds bytes ``[i * CHUNK_BYTES, ...)``. Chunks form
groups, so that one wildcard subscription stays far below a broker's queue limits. The raw 32-byte digests of all
chunks, in order, fill pages. The signed manifest holds the SHA-256 of each page, so every chunk can be checked the
moment it arrives, whoever sent it.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge_agent.errors import TransferError, WireError

CHUNK_BYTES = 120 * 1024  # below AWS IoT Core's 128 KB payload limit, with room for the packet
GROUP_CHUNKS = 32  # a broker withholds retained messages above its queue limits: we ask for two groups at most
PAGE_DIGESTS = 1024
DIGEST_BYTES = 32
_SHA256 = re.compile(r"[0-9a-f]{64}")


def check_digest(text: str) -> str:
    """Return ``text`` if it is a lower-case SHA-256 hex digest, else raise ``WireError``."""
    if not _SHA256.fullmatch(text):
        raise WireError("malformed", f"{text[:80]!r} is not a SHA-256 in lower-case hex")
    return text


def _ceil(a: int, b: int) -> int:
    return -(-a // b)


@dataclass(frozen=True, slots=True)
class BlobPlan:
    """The numbers of chunks, groups and pages of a blob of ``size`` bytes."""

    size: int

    def __post_init__(self) -> None:
        if self.size <= 0:
            raise TransferError("size_mismatch", f"a blob of {self.size} bytes cannot be sent")

    @property
    def chunks(self) -> int:
        """Number of chunks."""
        return _ceil(self.size, CHUNK_BYTES)

    @property
    def groups(self) -> int:
        """Number of groups of chunks."""
        return _ceil(self.chunks, GROUP_CHUNKS)

    @property
    def pages(self) -> int:
        """Number of pages of chunk digests."""
        return _ceil(self.chunks, PAGE_DIGESTS)

    def chunk_size(self, index: int) -> int:
        """Bytes of chunk ``index``: all are full but the last."""
        if not 0 <= index < self.chunks:
            raise TransferError("size_mismatch", f"chunk {index} of a blob of {self.chunks}")
        return min(CHUNK_BYTES, self.size - index * CHUNK_BYTES)

    def group_range(self, group: int) -> range:
        """Chunk indices of ``group``."""
        first = group * GROUP_CHUNKS
        return range(first, min(first + GROUP_CHUNKS, self.chunks))

    def page_range(self, page: int) -> range:
        """Chunk indices whose digests stand on ``page``."""
        first = page * PAGE_DIGESTS
        return range(first, min(first + PAGE_DIGESTS, self.chunks))


def digest_pages(chunks: Iterator[bytes]) -> list[bytes]:
    """The pages of chunk digests of a blob whose chunks come in order."""
    digests = b"".join(hashlib.sha256(chunk).digest() for chunk in chunks)
    step = PAGE_DIGESTS * DIGEST_BYTES
    return [digests[i : i + step] for i in range(0, len(digests), step)]


def check_page(plan: BlobPlan, page: int, payload: bytes, expected_sha256: str) -> list[bytes]:
    """Return the chunk digests on ``page`` if its bytes match the manifest.

    Raises:
        TransferError: ``hash_mismatch`` or ``size_mismatch``.
    """
    if hashlib.sha256(payload).hexdigest() != expected_sha256:
        raise TransferError("hash_mismatch", f"digest page {page} does not match the manifest")
    if len(payload) != len(plan.page_range(page)) * DIGEST_BYTES:
        raise TransferError("size_mismatch", f"digest page {page} has {len(payload)} bytes")
    return [payload[i : i + DIGEST_BYTES] for i in range(0, len(payload), DIGEST_BYTES)]


def check_chunk(plan: BlobPlan, index: int, payload: bytes, digests: Sequence[bytes]) -> None:
    """Raise ``TransferError`` unless ``payload`` is chunk ``index``; ``digests`` holds those of the whole blob."""
    if len(payload) != plan.chunk_size(index) or hashlib.sha256(payload).digest() != digests[index]:
        raise TransferError("hash_mismatch", f"chunk {index} does not match the manifest")
