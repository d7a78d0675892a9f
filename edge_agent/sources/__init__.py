"""Sensors. One file per kind, and the file's name is the kind: ``[sources.imu] kind = "serial"`` is ``serial.py``.

A kind is a module with ``Options`` (a struct of the keys that ``[sources.NAME]`` may have) and ``open(options)``. It
may have ``require(options)``, which opens nothing and raises ``SourceError`` with what to install if a driver is
missing. Its docstring has an example to paste. Whoever reads a source pulls: no thread, no queue, no memory beyond what
one read returns, except where the outside pushes (``mqtt``). No kind runs a command.

Another package may bring a kind: an entry point of the group ``edge_agent.sources`` whose name is the kind and whose
value is such a module. It cannot replace one of ours.

    [project.entry-points."edge_agent.sources"]
    lidar = "acme_lidar.edge_agent_source"
"""

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge_agent.acquisition.arrivals import Arrivals
from edge_agent.advice.installation import how_to_add
from edge_agent.errors import ConfigError, SourceError
from edge_agent.settings.sharing import COMMON_KEYS, divide
from edge_agent.settings.source_kinds import GROUP, kinds, own_kinds
from edge_agent.strict import did_you_mean, strict

Samples = NDArray[np.float32]
Frames = NDArray[np.uint8]
_EXTRAS = {"camera": "camera", "audio": "audio"}
"""The extra that has a kind's driver, where that is not ``device``."""


class EndOfSource(SourceError):  # noqa: N818  # an end, not a fault
    """A recording was read to its end."""

    def __init__(self, message: str) -> None:
        super().__init__("source_lost", message)


class Source(Protocol):
    """An open sensor."""

    channels: tuple[str, ...]
    rate_hz: float
    """Samples a second, as the operator or the device says."""
    silence_s: float
    """How long it may send nothing before it counts as silent or lost."""
    live: bool
    """True: the world sets the pace and nothing comes twice. False: a recording, which begins anew when opened."""
    window_size: int
    """0: one stream of samples; else independent windows of this many samples, one after another."""
    frame_shape: tuple[int, ...]
    """What a sample is in each channel: ``()`` a number (float32), ``(height, width)`` a picture (uint8)."""
    length: int
    """Samples in a recording; 0: this is none."""
    repeats: bool
    """Whether a recording begins again at its end."""
    malformed: int
    """Samples that were dropped because they could not be understood."""
    gaps: int
    """How often the stream was interrupted, so that the next sample does not follow on the last."""
    arrivals: Arrivals
    """The times of the samples of the last read, and how many come a second."""

    @property
    def trouble(self) -> str:
        """A clause on why nothing comes, as far as is known; else empty."""
        ...

    def read(self, timeout_s: float) -> Samples | Frames | None:
        """Samples ``[n, *frame_shape, channels]``, n >= 1, that have arrived; None if nothing did in ``timeout_s``.

        Raises:
            EndOfSource: there will be no more.
        """
        ...

    def close(self) -> None:
        """Let the sensor go; may be called twice."""
        ...


class Stream:
    """What is the same in most live sensors; a kind says what is not."""

    live = True
    window_size = 0
    frame_shape: tuple[int, ...] = ()
    length = 0
    repeats = False

    def __init__(self, channels: list[str], rate_hz: float, silence_s: float) -> None:
        self.channels = tuple(channels)
        self.rate_hz = rate_hz
        self.silence_s = silence_s
        self.gaps = 0
        self.arrivals = Arrivals(rate_hz)

    def interrupt(self) -> None:
        """The next sample does not follow on the last."""
        self.gaps += 1
        self.arrivals.interrupt()


def check_source(name: str, table: Mapping[str, Any]) -> None:
    """Check the table ``[sources.NAME]`` without opening anything; raises ``ConfigError`` (usage)."""
    _options(name, table)


def check_driver(name: str, table: Mapping[str, Any]) -> None:
    """Check that what a sound table needs is installed; raises ``SourceError`` that says what to install."""
    module, options = _options(name, table)
    if hasattr(module, "require"):
        module.require(options)


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
    module = _own(kind, where) if kind in own_kinds() else _foreign(kind, where)
    _, own = divide(name, table)
    del own["kind"]
    return module, strict(own, module.Options, where, also=COMMON_KEYS)


def _own(kind: str, where: str) -> ModuleType:
    try:
        return import_module(f"{__name__}.{kind}")
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get(kind, "device")
        raise ConfigError("usage", f"{where}: kind {kind} needs {error.name}; {how_to_add(extra)}") from None


def _foreign(kind: str, where: str) -> ModuleType:
    point: EntryPoint = next(point for point in entry_points(group=GROUP) if point.name == kind)
    try:
        module = point.load()
    except Exception as error:  # noqa: BLE001  # whatever a package of others does on import, it is not ours to fall over it
        raise ConfigError("usage", f"{where}: kind {kind} ({point.value}) cannot be loaded: {error!r}") from None
    options = getattr(module, "Options", None)
    if not (isinstance(options, type) and issubclass(options, msgspec.Struct) and callable(module.open)):
        raise ConfigError("usage", f"{where}: kind {kind} ({point.value}) has no struct Options and function open")
    found: ModuleType = module
    return found
