"""Sensors. One file per kind, and the file's name is the kind: ``[sources.imu] kind = "serial"`` is ``serial.py``.

A kind is a module with ``Options`` (a struct of the keys of ``[sources.NAME]``) and ``open(options)``. It may have
``require(options)``, which opens nothing and raises ``SourceError`` with installation advice if a driver is missing.
Its docstring has an example to paste. The reader of a source pulls: there is no thread, no queue, and no memory beyond
the result of one read, unless the outside pushes (``mqtt``). No kind runs a command.

Another package may add a kind: an entry point of the group ``edge_agent.sources`` whose name is the kind and whose
value is such a module. It cannot replace one of ours. This package exports everything that such a module needs:
``Source`` is the protocol, ``Stream`` a base class for live sensors.

    [project.entry-points."edge_agent.sources"]
    lidar = "acme_lidar.edge_agent_source"
"""

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

import msgspec

from edge_agent.acquisition.source import EndOfSource, Frames, Samples, Source, Stream
from edge_agent.advice.installation import how_to_add
from edge_agent.errors import ConfigError, SourceError
from edge_agent.settings.sharing import COMMON_KEYS, split_common_keys
from edge_agent.settings.source_kinds import GROUP, kinds, own_kinds
from edge_agent.strict import did_you_mean, strict

__all__ = [
    "EndOfSource",
    "Frames",
    "Samples",
    "Source",
    "Stream",
    "check_driver",
    "check_table",
    "kinds",
    "open_source",
    "own_kinds",
]
_EXTRAS = {"camera": "camera", "audio": "audio"}
"""kind → the extra that installs its driver, if that is not ``device``."""


def check_table(name: str, table: Mapping[str, Any]) -> None:
    """Check the table ``[sources.NAME]`` without opening anything; raise ``ConfigError`` (usage)."""
    _options(name, table)


def check_driver(name: str, table: Mapping[str, Any]) -> None:
    """Check that the driver for a valid table is installed; raise ``SourceError`` with installation advice."""
    module, options = _options(name, table)
    if hasattr(module, "require"):
        module.require(options)


def open_source(name: str, table: Mapping[str, Any]) -> Source:
    """Open the source called ``name``; raise ``SourceError`` (source_unavailable, source_busy)."""
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
    _, own = split_common_keys(name, table)
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
    except Exception as error:  # noqa: BLE001  # a third-party package may raise anything on import
        text = f"{where}: kind {kind} ({point.value}) cannot be loaded: {error!r}; install its package again"
        raise ConfigError("usage", text) from None
    options = getattr(module, "Options", None)
    if not (isinstance(options, type) and issubclass(options, msgspec.Struct) and callable(module.open)):
        raise ConfigError(
            "usage",
            f"{where}: kind {kind} ({point.value}) lacks the struct Options or the function open; correct its package",
        )
    found: ModuleType = module
    return found
