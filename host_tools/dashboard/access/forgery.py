"""Checks that a request that changes something was made by the dashboard's own page. Pure.

Each form carries a token derived from the browser's cookie, and the browser names the origin of the form.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

FIELD: Final = "csrf"
HEADER: Final = "x-csrf-token"
_PORTS = {"http": 80, "https": 443}


def token(secret: bytes, cookie: str) -> str:
    """The token in a form of the browser with this cookie."""
    return hmac.new(secret, cookie.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def is_token(secret: bytes, cookie: str, given: str) -> bool:
    """Whether ``given`` is this browser's token."""
    expected = token(secret, cookie).encode()
    return bool(cookie) and hmac.compare_digest(expected, given.encode("utf-8", "replace"))


def is_ours(headers: Mapping[str, str], scheme: str) -> bool:
    """Whether the browser names one of our pages as the sender, which it does for every form."""
    site = headers.get("sec-fetch-site")
    if site is not None and site != "same-origin":
        return False
    origin = headers.get("origin")
    if origin is None:
        return site == "same-origin"
    try:
        given, expected = urlsplit(origin), urlsplit(f"{scheme}://{headers.get('host', '')}")
        return (given.scheme, given.hostname, given.port or _PORTS.get(given.scheme)) == (
            scheme, expected.hostname, expected.port or _PORTS[scheme],
        )  # fmt: skip
    except (ValueError, KeyError):
        return False
