"""The security headers of every response. Pure.

Scripts, styles, pictures and connections must be our own; nothing inline, no eval. The referrer policy is
``same-origin``, as a browser that may send no referrer sends ``Origin: null`` with our own forms.
"""

from typing import Final

POLICY: Final = "default-src 'self'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
HEADERS: Final = (
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "same-origin"),
    ("x-frame-options", "DENY"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
)
NOT_STORED: Final = ("cache-control", "no-store")


def added(present: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers of a response with ours added; an existing ``cache-control`` stays."""
    ours = [(name.encode(), value.encode()) for name, value in HEADERS]
    kept = [pair for pair in present if pair[0].lower() not in {name for name, _ in ours}]
    if not any(name.lower() == b"cache-control" for name, _ in kept):
        kept.append((NOT_STORED[0].encode(), NOT_STORED[1].encode()))
    return kept + ours
