"""Password hashes for the file of users: scrypt (RFC 7914), each with its own salt. Pure, apart from the salt.

Each takes 16 MiB and about 0.2 s: a server below 150 MB can check one, and an attacker cannot try many.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from typing import Final

_COST, _BLOCK, _PARALLEL = 1 << 14, 8, 5
_MAX_COST, _MAX_PARALLEL = 1 << 16, 16
_SALT_BYTES, _HASH_BYTES = 16, 32
_OVERHEAD_BYTES = 1 << 20
LONGEST: Final = 1024
"""Maximum length in characters: hashing costs work, and nobody has a longer password."""
SHORTEST: Final = 8


NOBODYS: Final = f"scrypt:{_COST}:{_BLOCK}:{_PARALLEL}:{'A' * 22}==:{'A' * 43}="
"""A hash of no password, compared for unknown names so that the check takes equally long."""


def hashed(password: str) -> str:
    """``scrypt:COST:BLOCK:PARALLEL:SALT:HASH``, with salt and hash in base64."""
    salt = secrets.token_bytes(_SALT_BYTES)
    key = _scrypt(password, salt, _COST, _BLOCK, _PARALLEL, _HASH_BYTES)
    parts = ("scrypt", str(_COST), str(_BLOCK), str(_PARALLEL), _text(salt), _text(key))
    return ":".join(parts)


def is_hash(text: str) -> bool:
    """Whether :func:`matches` can compare a password with ``text``."""
    return _parts(text) is not None


def matches(password: str, stored: str) -> bool:
    """Whether ``stored`` is the hash of ``password``; takes equally long in both cases."""
    parts = _parts(stored)
    if parts is None or len(password) > LONGEST:
        return False
    cost, block, parallel, salt, key = parts
    return hmac.compare_digest(_scrypt(password, salt, cost, block, parallel, len(key)), key)


def _scrypt(password: str, salt: bytes, cost: int, block: int, parallel: int, length: int) -> bytes:
    most = 128 * block * (cost + parallel + 2) + _OVERHEAD_BYTES
    secret = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(secret, salt=salt, n=cost, r=block, p=parallel, maxmem=most, dklen=length)


def _parts(text: str) -> tuple[int, int, int, bytes, bytes] | None:
    try:
        name, cost_text, block_text, parallel_text, salt_text, key_text = text.split(":")
        cost, block, parallel = int(cost_text), int(block_text), int(parallel_text)
        salt, key = base64.b64decode(salt_text, validate=True), base64.b64decode(key_text, validate=True)
    except (ValueError, binascii.Error):
        return None
    power_of_two = cost > 1 and cost & (cost - 1) == 0
    sane = power_of_two and cost <= _MAX_COST and block == _BLOCK and 1 <= parallel <= _MAX_PARALLEL
    known = name == "scrypt" and sane and len(salt) == _SALT_BYTES and len(key) == _HASH_BYTES
    return (cost, block, parallel, salt, key) if known else None


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
