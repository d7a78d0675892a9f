"""Threads for slow work, with a limit per kind, so that read-only pages never queue behind it."""

from collections.abc import Callable
from typing import Any, TypeVar

import anyio
from anyio.to_thread import run_sync

T = TypeVar("T")
_BROKER = anyio.CapacityLimiter(4)
_PASSWORDS = anyio.CapacityLimiter(2)
"""Low, as each check takes 16 MiB."""

_PARTS = anyio.CapacityLimiter(2)
"""Low, so that loading a page is never delayed by the updates of many open ones."""


async def in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """The result of ``function``, which asks the broker or copies a file."""
    return await run_sync(function, *arguments, limiter=_BROKER)


async def checking_password(function: Callable[..., T], *arguments: Any) -> T:
    """The result of ``function``, which compares a password."""
    return await run_sync(function, *arguments, limiter=_PASSWORDS)


async def making_parts(function: Callable[..., T], *arguments: Any) -> T:
    """The result of ``function``, which makes or compares the parts of an open page."""
    return await run_sync(function, *arguments, limiter=_PARTS)
