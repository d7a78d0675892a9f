"""How much memory a worker may take."""

from pathlib import Path

import pytest

from edge_agent.device.memory import HEADROOM_BYTES, worker_memory_bytes


@pytest.mark.parametrize(
    ("meminfo", "limit", "configured", "expected"),
    [
        ("MemAvailable: 1048576 kB", "max", 0, 1024**3 - HEADROOM_BYTES),
        ("MemAvailable: 1048576 kB", str(512 * 1024**2), 0, 512 * 1024**2 - HEADROOM_BYTES),
        ("MemAvailable: 1048576 kB", "max", 1000, 1000),
        ("MemAvailable: 70000 kB", "max", 0, HEADROOM_BYTES),
        ("", "max", 0, 0),
    ],
)
def test_worker_memory(tmp_path: Path, meminfo: str, limit: str, configured: int, expected: int) -> None:
    for name, text in (
        ("proc/meminfo", f"MemTotal: 4194304 kB\n{meminfo}\n"),
        ("proc/self/cgroup", "0::/system.slice/edge-agent.service\n"),
        ("sys/fs/cgroup/system.slice/memory.max", f"{limit}\n"),
        ("sys/fs/cgroup/system.slice/edge-agent.service/memory.max", "max\n"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    assert worker_memory_bytes(configured, tmp_path) == expected
