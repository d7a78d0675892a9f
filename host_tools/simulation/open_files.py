"""The limit of open files for this process, raised as needed and permitted: each connection is one."""

import resource

from edge_agent.errors import ConfigError

_BESIDE = 64
"""Open files of a command besides its connections."""


def permit_open_files(connections: int) -> None:
    """Raise the limit for this number of connections; raises ``ConfigError`` if the system does not permit it."""
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
