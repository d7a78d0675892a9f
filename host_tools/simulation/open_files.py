"""How many files this process may have open: a connection is one. Raises the limit as far as it may."""

import resource

from edge_agent.errors import ConfigError

_BESIDE = 64
"""Files that a command has open beside its connections."""


def permit_open_files(connections: int) -> None:
    """Have room for so many connections; raises ``ConfigError`` where the system gives none."""
    needed = connections + _BESIDE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ConfigError(
            "usage",
            f"{connections} connections need {needed} open files, and this system permits {hard}: raise that "
            f"(ulimit -Hn {needed} as root), or share connections with --connections {max(1, hard - _BESIDE)}",
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
