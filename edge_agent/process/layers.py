"""The layers of confinement that this device's kernel lacks, and the check whether processes may start without them."""

from edge_agent.errors import ConfigError
from edge_agent.process import landlock, seccomp

LANDLOCK, SECCOMP = "Landlock", "seccomp"
_WITHOUT = {
    LANDLOCK: "a model that takes over its worker could read and write all files of the service",
    SECCOMP: "a model that takes over its worker could reach the network and the daemon",
}
"""The risk of a missing layer, for the person who decides to run without it."""
REMEDY = (
    "use a kernel that has it (Landlock: CONFIG_SECURITY_LANDLOCK, and landlock in CONFIG_LSM or lsm=; Raspberry Pi OS "
    "has none), or set [limits] require_confinement = false: SECURITY.md lists the protection that is left"
)


def missing() -> list[str]:
    """Return the layers that this kernel lacks."""
    return [name for name, there in ((SECCOMP, seccomp.available()), (LANDLOCK, landlock.abi() > 0)) if not there]


def check_confinement(*, required: bool) -> list[str]:
    """Return the layers that this kernel lacks.

    Raises:
        ConfigError: ``confinement_missing``: it lacks one, and all are ``required``.
    """
    lacking = missing()
    if lacking and required:
        raise ConfigError("confinement_missing", f"{without(lacking)}; {REMEDY}")
    return lacking


def without(lacking: list[str]) -> str:
    """Return a sentence on the missing layers and their risks."""
    return f"this kernel has no {' and no '.join(lacking)}: {', and '.join(_WITHOUT[name] for name in lacking)}"
