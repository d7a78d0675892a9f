"""The memory that a worker may use on this device, read from the kernel anew for each stage."""

import os
from pathlib import Path

from edge_agent.device.kernel_files import number, text

HEADROOM_BYTES = 64 * 1024 * 1024
"""Reserved for the daemon and the kernel."""


def kernel_memory(root: Path = Path("/")) -> dict[str, int]:
    """Return key of ``/proc/meminfo`` → bytes."""
    found = {}
    for line in text(root / "proc/meminfo").splitlines():
        key, _, value = line.partition(":")
        amount = value.split()[:1]
        if amount and amount[0].isdigit():
            found[key] = int(amount[0]) * 1024
    return found


def resident_bytes(root: Path = Path("/")) -> int | None:
    """Return the resident memory of this process; None if the kernel does not report it."""
    try:
        return int(text(root / "proc/self/statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, IndexError):
        return None


def available_bytes(root: Path = Path("/")) -> int:
    """Return ``MemAvailable``, the memory available without swapping; 0 if the kernel does not report it."""
    return kernel_memory(root).get("MemAvailable", 0)


def cgroup_limit_bytes(root: Path = Path("/")) -> int:
    """Return the lowest ``memory.max`` (v2) above this process, or its v1 limit; 0: none."""
    limits = []
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            base, name = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            base, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        folder = base / path.lstrip("/")
        for place in (folder, *folder.parents):
            limit = number(place / name)
            if limit is not None and 0 <= limit < 1 << 60:  # in v1 a number near 2**63 means "none"
                limits.append(limit)
            if place == base:
                break
    return min(limits, default=0)


def worker_memory_bytes(configured: int, root: Path = Path("/")) -> int:
    """Return a worker's limit: as configured, else the available memory without some headroom; 0: no known limit."""
    if configured:
        return configured
    known = [limit for limit in (available_bytes(root), cgroup_limit_bytes(root)) if limit]
    return max(min(known) - HEADROOM_BYTES, HEADROOM_BYTES) if known else 0
