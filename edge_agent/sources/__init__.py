"""Sensors. One file per kind, and the file's name is the kind: ``[sources.imu] kind = "serial"`` is ``serial.py``.

A kind is a module with ``Options`` (a struct of the keys that ``[sources.NAME]`` may have) and ``open(options)``.
Whoever reads a source pulls: no thread, no queue, no memory beyond what one read returns.
"""

import pkgutil
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_agent.errors import ConfigError, SourceError
from edge_agent.suggest import did_you_mean, strict

Samples = NDArray[np.float32]


class EndOfSource(SourceError):  # noqa: N818  # an end, not a fault
    """A recording was read to its end."""

    def __init__(self, message: str) -> None:
        super().__init__("source_lost", message)


class Source(Protocol):
    """An open sensor."""

    channels: tuple[str, ...]
    rate_hz: float
    """Samples a second, as the operator says."""
    silence_s: float
    """How long it may send nothing before it counts as silent or lost."""
    live: bool
    """True: the world sets the pace and nothing comes twice. False: a recording, which begins anew when opened."""
    window_size: int
    """0: one stream of samples; else independent windows of this many samples, one after another."""
    length: int
    """Samples in a recording; 0: this is none."""
    repeats: bool
    """Whether a recording begins again at its end."""
    malformed: int
    """Samples that were dropped because they could not be understood."""
    gaps: int
    """How often the stream was interrupted, so that the next sample does not follow on the last."""

    @property
    def trouble(self) -> str:
        """A clause on why nothing comes, as far as is known; else empty."""
        ...

    def read(self, timeout_s: float) -> Samples | None:
        """Samples ``[n, channels]``, n >= 1, that have arrived; None if nothing did within ``timeout_s``.

        Raises:
            EndOfSource: there will be no more.
        """
        ...

    def close(self) -> None:
        """Let the sensor go."""
        ...


def kinds() -> list[str]:
    """The kinds of source that there are."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def check_source(name: str, table: Mapping[str, Any]) -> None:
    """Check the table ``[sources.NAME]`` without opening anything; raises ``ConfigError`` (usage)."""
    _options(name, table)


def open_source(name: str, table: Mapping[str, Any]) -> Source:
    """Open the source called ``name``; raises ``SourceError`` (source_unavailable, source_busy)."""
    try:
        module, options = _options(name, table)
    except ConfigError as error:
        raise SourceError("source_unavailable", error.message) from None
    source: Source = module.open(options)
    return source


def _options(name: str, table: Mapping[str, Any]) -> tuple[ModuleType, msgspec.Struct]:
    where, kind = f"[sources.{name}]", table.get("kind")
    if not isinstance(kind, str) or kind not in kinds():
        raise ConfigError("usage", f"{where}: unknown kind {kind!r}{did_you_mean(str(kind), kinds())}")
    try:
        module = import_module(f"{__name__}.{kind}")
    except ModuleNotFoundError as error:
        raise ConfigError("usage", f"{where}: kind {kind} needs {error.name}; install edge-agent[device]") from None
    return module, strict({key: value for key, value in table.items() if key != "kind"}, module.Options, where)
