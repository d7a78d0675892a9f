"""Compressed messages in memory: looked up while a lock is held, and decoded without it. Pure.

Open pages read the same few again every second, so decoded messages are cached.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from edge_agent.wire.messages import DeviceInfo, JobReport
from edge_agent.wire.topics import Topics
from host_tools.broker.packed import unpack
from host_tools.fleet.reading import Said, read

M = TypeVar("M", DeviceInfo, JobReport)


@dataclass(frozen=True, slots=True)
class Sealed:
    """A message of ``topic``, compressed by :func:`host_tools.broker.packed.pack`."""

    topics: Topics
    topic: str
    packed: bytes


@lru_cache(maxsize=32)
def info_in(sealed: Sealed) -> DeviceInfo | None:
    """The decoded info of a device."""
    return _read(sealed, DeviceInfo)


@lru_cache(maxsize=8)
def report_in(sealed: Sealed) -> JobReport | None:
    """The decoded report with its results."""
    return _read(sealed, JobReport)


@lru_cache(maxsize=1024)
def head_in(sealed: Sealed) -> JobReport | None:
    """The decoded report without its results."""
    return _read(sealed, JobReport, results=False)


def _read(sealed: Sealed, kind: type[M], *, results: bool = True) -> M | None:
    said = read(sealed.topics, sealed.topic, unpack(sealed.packed), results=results)
    return said.message if isinstance(said, Said) and isinstance(said.message, kind) else None
