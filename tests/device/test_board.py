"""Trees as the named boards' kernels show them; nothing here depends on the machine that runs the test."""

from pathlib import Path

import msgspec
from support.boards import ORIN, PI4, write

from edge_agent.device import board
from edge_agent.wire.messages import DeviceInfo


def test_a_raspberry_pi(tmp_path: Path) -> None:
    write(tmp_path, PI4)

    found, now = board.describe(tmp_path), board.conditions(tmp_path)

    assert (found.board, found.cpu) == ("Raspberry Pi 4 Model B Rev 1.4", "Cortex-A72")
    assert (found.cores, found.memory_bytes) == (4, 3884304 * 1024)
    assert (now.governor, now.clock_mhz, now.max_clock_mhz) == ("ondemand", 600.0, 1800.0)
    assert now.temperature_c == {"cpu-thermal": 48.199}
    assert (now.throttled, now.throttle_events) == ((), 0)


def test_a_jetson(tmp_path: Path) -> None:
    write(tmp_path, ORIN)

    found, now = board.describe(tmp_path), board.conditions(tmp_path)

    assert (found.board, found.cpu, found.cores) == ("NVIDIA Jetson Orin Nano Developer Kit", "Cortex-A78AE", 5)
    assert now.temperature_c == {"cpu-thermal": 50.093}
    assert (now.throttled, now.throttle_events) == ((), 38)


def test_a_pc(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "sys/class/dmi/id/product_name": "NUC\n",
            "proc/cpuinfo": "model name\t: Intel(R) Core(TM) i5\n" * 4,
            "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": "3\n",
            "sys/devices/system/cpu/cpu10/thermal_throttle/core_throttle_count": "4\n",
        },
    )

    assert (board.describe(tmp_path).board, board.describe(tmp_path).cpu) == ("NUC", "Intel(R) Core(TM) i5")
    assert board.conditions(tmp_path).throttle_events == 7


def test_clusters_and_unknown_parts_are_named(tmp_path: Path) -> None:
    cores = "CPU implementer\t: 0x4e\nCPU part\t: 0x003\nCPU implementer\t: 0x41\nCPU part\t: 0xfff\n"
    write(tmp_path, {"proc/cpuinfo": cores, "sys/devices/system/cpu/online": "nonsense"})

    assert board.describe(tmp_path).cpu == "Denver 2 + 0x41:0xfff"
    assert board.describe(tmp_path).cores == 0


def test_nothing_readable_is_unknown_and_fits_the_wire(tmp_path: Path) -> None:
    stamp = board.stamp(tmp_path)

    assert (stamp["board"], stamp["cpu"], stamp["cores"], stamp["memory_bytes"]) == ("", "", 0, 0)
    assert stamp["clock_mhz"] is None
    msgspec.json.encode(DeviceInfo(device="pi-01", thermal=stamp))


def test_this_very_device_has_cores_and_memory() -> None:
    found = board.describe()

    assert found.cores >= 1
    assert found.memory_bytes > 0
