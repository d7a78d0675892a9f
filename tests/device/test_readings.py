"""Readings from trees as kernels show them: each number, and nothing where nothing is told."""

import os
import time
from pathlib import Path

import pytest
from support.boards import ORIN, PI4, write

from edge_agent.device.readings import Machine, free_bytes

PROC = {
    "proc/uptime": "5025.37 19000.11\n",
    "proc/loadavg": "0.61 0.52 0.40 2/180 4711\n",
    "proc/stat": "cpu  1000 50 300 8000 200 10 20 5 7 3\ncpu0 1 2 3 4 5 6 7 8 9 10\nintr 1\n",
    "proc/meminfo": "MemTotal:        3884304 kB\nMemAvailable:    1200000 kB\n"
    "SwapTotal:        102396 kB\nSwapFree:          52396 kB\nHugePages_Total:       0\n",
    "proc/self/statm": "6000 5200 2500 1 0 3000 0\n",
}
ONE_TREE = PI4 | PROC


def test_each_number_of_a_raspberry_pi(tmp_path: Path) -> None:
    write(tmp_path, ONE_TREE)

    found = Machine(tmp_path, tmp_path).read()

    assert (found.uptime_s, found.load_1m) == (5025.37, 0.61)
    assert (found.cpu_busy, found.cpu_total) == (1385, 9585), "guests are in user and nice already"
    assert found.memory_available_bytes == 1200000 * 1024
    assert found.swap_used_bytes == 50000 * 1024
    assert (found.temperature_c, found.clock_hz) == (48.199, 600e6)
    assert found.process_rss_bytes == 5200 * os.sysconf("SC_PAGE_SIZE")
    assert found.throttling.tells_voltage


def test_the_clock_is_of_the_slowest_that_is_on(tmp_path: Path) -> None:
    write(
        tmp_path,
        ONE_TREE
        | {
            "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq": "1500000\n",
            "sys/devices/system/cpu/cpufreq/policy4/scaling_cur_freq": "1000000\n",
            "sys/devices/system/cpu/cpufreq/policy6/scaling_cur_freq": "<unknown>\n",
        },
    )

    assert Machine(tmp_path, tmp_path).read().clock_hz == 1e9


@pytest.mark.parametrize(
    ("zones", "expected"),
    [
        ({"PMIC-Die": 100_000, "CPU-therm": 41_000, "GPU-therm": 43_000}, 41.0),  # the Nano's PMIC says 100 for ever
        ({"cpu-thermal": 50_000, "tj-thermal": 52_000, "gpu-thermal": 61_000}, 52.0),
        ({"acpitz": 27_800, "iwlwifi_1": 39_000}, 39.0),
        ({}, None),
    ],
)
def test_the_temperature_is_the_processors_where_a_zone_says_so(
    tmp_path: Path, zones: dict[str, int], expected: float | None
) -> None:
    for number, (kind, value) in enumerate(zones.items()):
        zone = f"sys/class/thermal/thermal_zone{number}"
        write(tmp_path, {f"{zone}/type": kind, f"{zone}/temp": str(value)})

    assert Machine(tmp_path, tmp_path).read().temperature_c == expected


def test_what_was_written_is_of_the_whole_device_that_holds_the_folder(tmp_path: Path) -> None:
    device, state = tmp_path / "sys/devices/platform/mmcblk0", tmp_path / "state"
    state.mkdir()
    number = state.stat().st_dev
    counts = "1 0 8 1 {} 0 {} 9 0 9 9 0 0 0 0 0 0"
    write(
        tmp_path,
        {
            "sys/devices/platform/mmcblk0/stat": counts.format(77, 123_456),
            "sys/devices/platform/mmcblk0/mmcblk0p2/stat": counts.format(7, 1),
            "sys/devices/platform/mmcblk0/mmcblk0p2/partition": "2\n",
        },
    )
    link = tmp_path / f"sys/dev/block/{os.major(number)}:{os.minor(number)}"
    link.parent.mkdir(parents=True)
    link.symlink_to(device / "mmcblk0p2")

    assert Machine(state, tmp_path).read().disk_written_bytes == 123_456 * 512


def test_where_nothing_is_told_it_is_none(tmp_path: Path) -> None:
    found = Machine(tmp_path / "gone", tmp_path).read()

    assert (found.cpu_busy, found.cpu_total) == (0, 0)
    told = (
        *(found.uptime_s, found.load_1m, found.memory_available_bytes, found.swap_used_bytes, found.disk_free_bytes),
        *(found.disk_written_bytes, found.temperature_c, found.clock_hz, found.process_rss_bytes),
    )
    assert told == (None,) * len(told)


@pytest.mark.parametrize("name", [*PROC, *ORIN])
def test_nonsense_in_any_file_is_nothing_told(tmp_path: Path, name: str) -> None:
    write(tmp_path, ONE_TREE | ORIN | {name: "\0nonsense \xff %"})

    Machine(tmp_path, tmp_path).read()


def test_a_driver_that_is_loaded_later_is_found(tmp_path: Path) -> None:
    machine = Machine(tmp_path, tmp_path)
    assert not machine.read().throttling.tells_voltage
    write(tmp_path, PI4)

    assert any(machine.read().throttling.tells_voltage for _ in range(60))


def test_this_machine_tells_of_itself(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.read()
    began = time.process_time()
    for _ in range(50):
        found = machine.read()

    assert (time.process_time() - began) / 50 < 0.02, "some tenths of a millisecond on a machine that is not busy"
    assert found.uptime_s is not None
    assert found.cpu_total > found.cpu_busy > 0
    assert found.process_rss_bytes is not None
    assert found.disk_free_bytes == free_bytes(tmp_path)
