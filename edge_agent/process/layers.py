"""Which layers confine the processes of this device, and which of them its kernel lacks.

What holds can only be seen by a process that has confined itself, for good; so each kind is tried in a fork.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

from edge_agent.errors import ConfigError
from edge_agent.process import landlock, seccomp
from edge_agent.process.confinement import confine_opener, confine_sensor

LANDLOCK, SECCOMP = "Landlock", "seccomp"
_WITHOUT = {
    LANDLOCK: "a model that takes over its worker could read and write all files of the service",
    SECCOMP: "a model that takes over its worker could reach the network and the daemon",
}
"""What each layer is there for: what a person has to know who does without."""
REMEDY = (
    "use a kernel that has it (Landlock: CONFIG_SECURITY_LANDLOCK, and landlock in CONFIG_LSM or lsm=; Raspberry Pi OS "
    "has none), or set [limits] require_confinement = false: SECURITY.md says what is left"
)


def missing() -> list[str]:
    """The layers that this kernel lacks."""
    return [name for name, there in ((SECCOMP, seccomp.available()), (LANDLOCK, landlock.abi() > 0)) if not there]


def check_confinement(*, required: bool) -> list[str]:
    """The layers that this kernel lacks, where it may lack any.

    Raises:
        ConfigError: ``confinement_missing``: it lacks one, and they are ``required``.
    """
    lacking = missing()
    if lacking and required:
        raise ConfigError("confinement_missing", f"{without(lacking)}; {REMEDY}")
    return lacking


def without(lacking: list[str]) -> str:
    """A sentence on what a kernel lacks."""
    return f"this kernel has no {' and no '.join(lacking)}: {', and '.join(_WITHOUT[name] for name in lacking)}"


def by_kind(folder: Path) -> dict[str, list[str]]:
    """The layers of each kind of child, that would work in ``folder``; of one that cannot be tried none."""
    sensor = _tried(lambda: confine_sensor(write=[folder], network=False))
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
        try:
            os.write(write, json.dumps(confine()).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as answer:
        said = answer.read()
    os.waitpid(child, 0)
    held: list[str] = json.loads(said or b"[]")
    return held
