"""How much memory a worker may have on this device: read from the kernel, per stage, as others come and go."""

from pathlib import Path

HEADROOM_BYTES = 64 * 1024 * 1024
"""Left for the daemon and for the kernel's sake."""


def available_bytes(root: Path = Path("/")) -> int:
    """``MemAvailable``: what can be had without swapping; 0 if the kernel does not say."""
    try:
        for line in (root / "proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return 0


def cgroup_limit_bytes(root: Path = Path("/")) -> int:
    """The lowest ``memory.max`` (v2) above this process, or its v1 limit; 0: none."""
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
            text = _read(place / name)
            if text.isdigit() and int(text) < 1 << 60:  # v1 says "none" with a number near 2**63
                limits.append(int(text))
            if place == base:
                break
    return min(limits, default=0)


def worker_memory_bytes(configured: int, root: Path = Path("/")) -> int:
    """The limit of a worker: as configured, else what is there now less some headroom; 0: no limit is known."""
    if configured:
        return configured
    known = [limit for limit in (available_bytes(root), cgroup_limit_bytes(root)) if limit]
    return max(min(known) - HEADROOM_BYTES, HEADROOM_BYTES) if known else 0


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
