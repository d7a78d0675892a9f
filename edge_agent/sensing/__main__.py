"""``python -m edge_agent.sensing < config.json``: read one sensor for good, keep a sample of it, let others read along.

It can write to its own folder and to devices, and use TCP only if the sensor's kind may need it. The configuration
(:class:`edge_agent.settings.sharing.SensorProcessConfig`) comes on standard input; standard output carries a JSON line
(:class:`edge_agent.settings.sharing.SourceState`) whenever something changes, and every ten seconds. Exit 0: it was
asked to end; 2: the configuration is none; 75: the folder cannot be used, or the kernel refuses to confine it. A bug
of ours ends it with a traceback on standard error (1).
"""

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from edge_agent.errors import EdgeAgentError
from edge_agent.process.landlock import restrict
from edge_agent.process.sandbox import confine
from edge_agent.sensing.process import run
from edge_agent.settings.sharing import SensorProcessConfig
from edge_agent.strict import UNDECODABLE

EXIT_USAGE, EXIT_FOLDER = 2, 75
_FOLDER_MODE = 0o750
_ALL_HERE = ("audio", "camera", "iio")
"""Kinds whose sensors hang on this computer."""
_IIO_BUS = ("bus", "iio", "devices")


def _may_connect(table: Mapping[str, Any]) -> bool:
    """Whether a source may need the network: of our own kinds, only those that say so."""
    kind = table.get("kind")
    return kind not in _ALL_HERE and not (kind == "serial" and "://" not in str(table.get("port")))


def _devices_elsewhere(table: Mapping[str, Any]) -> list[Path]:
    """Where a table says that devices and their settings are, as in a container: of kind iio, the trees of the two."""
    if table.get("kind") != "iio":
        return []
    sysfs, dev = Path(str(table.get("sysfs", ""))), Path(str(table.get("dev", "")))
    if sysfs.parts[2:][-3:] == _IIO_BUS:  # what lies there are links into the rest of the tree
        sysfs = sysfs.parents[2]
    return [folder for folder in (sysfs, dev) if folder.is_absolute() and folder.is_dir()]


def main() -> int:
    """Run as the configuration on standard input says; returns the exit code."""
    try:
        config = msgspec.json.decode(sys.stdin.buffer.read(), type=SensorProcessConfig)
    except UNDECODABLE as error:
        sys.stderr.write(f"edge_agent.sensing: no configuration on standard input: {error}\n")
        return EXIT_USAGE
    try:
        confine(death=signal.SIGTERM)
        folder = Path(config.folder)
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(_FOLDER_MODE)
        os.environ["TMPDIR"] = str(folder)  # the only place where a driver, and what it starts, finds it can write
        devices = _devices_elsewhere(config.table)
        run(config, confined=restrict(write=[folder], tcp=_may_connect(config.table), devices=devices))
    except (EdgeAgentError, OSError) as error:
        sys.stderr.write(f"edge_agent.sensing {config.name}: {error}\n")
        return EXIT_FOLDER
    return 0


if __name__ == "__main__":
    sys.exit(main())
