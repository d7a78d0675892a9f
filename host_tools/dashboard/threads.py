"""Threads for what takes long, a few of each kind: pages that only look are never behind them in a queue."""

from collections.abc import Callable
from typing import Any, TypeVar

import anyio
from anyio.to_thread import run_sync

T = TypeVar("T")
_BROKER = anyio.CapacityLimiter(4)
_PASSWORDS = anyio.CapacityLimiter(2)
"""Each check takes 16 MiB."""

_PARTS = anyio.CapacityLimiter(2)
"""However many pages are kept up to date, who loads one is served between."""


async def in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """What ``function`` returns, which asks the broker or copies a file."""
    return await run_sync(function, *arguments, limiter=_BROKER)


async def checking_password(function: Callable[..., T], *arguments: Any) -> T:
    """What ``function`` returns, which compares a password."""
    return await run_sync(function, *arguments, limiter=_PASSWORDS)


async def making_parts(function: Callable[..., T], *arguments: Any) -> T:
    """What ``function`` returns, which makes parts of an open page, or compares them."""
    return await run_sync(function, *arguments, limiter=_PARTS)
