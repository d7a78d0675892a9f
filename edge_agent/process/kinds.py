"""The layers of confinement for each kind of process on this device.

Only a process that has confined itself can see its layers, and confinement is permanent. So a fork tries each kind.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

from edge_agent.process.confinement import confine_opener, confine_sensor
from edge_agent.process.program import PARENT_VARIABLE


def layers_by_kind(folder: Path) -> dict[str, list[str]]:
    """Return the layers of each kind of child that works in ``folder``; none for a kind that cannot be tried."""
    sensor = _tried(lambda: confine_sensor(write=[folder]))
    return {
        "worker": _tried(lambda: confine_opener(write=[folder])),
        "trust": _tried(confine_opener),
        "capture": sensor,
        "sensor": sensor,
    }


def _tried(confine: Callable[[], list[str]]) -> list[str]:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.environ[PARENT_VARIABLE] = str(os.getppid())
        try:
            os.write(write, json.dumps(confine()).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as answer:
        found = answer.read()
    os.waitpid(child, 0)
    held: list[str] = json.loads(found or b"[]")
    return held
