"""Trees as the named boards' kernels show them; nothing here depends on the machine that runs the test."""

from pathlib import Path

import msgspec
import pytest

from edge_agent.device import board
from edge_agent.wire.messages import DeviceInfo


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


PI4 = {
    "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
    "proc/cpuinfo": "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\n\nprocessor\t: 1\n"
    "CPU implementer\t: 0x41\nCPU part\t: 0xd08\n\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n",
    "proc/meminfo": "MemTotal:        3884304 kB\nMemFree:         1000000 kB\n",
    "sys/devices/system/cpu/online": "0-3\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "600000\n",
    "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": "1800000\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "48199\n",
    "sys/class/thermal/cooling_device0/type": "gpio-fan\n",
    "sys/class/thermal/cooling_device0/cur_state": "1\n",
    "sys/class/hwmon/hwmon0/name": "cpu_thermal\n",
    "sys/class/hwmon/hwmon1/name": "rpi_volt\n",
    "sys/class/hwmon/hwmon1/in0_lcrit_alarm": "0\n",
    "sys/devices/platform/soc/soc:firmware/get_throttled": "0\n",
}
ORIN = {
    "proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit\0",
    "proc/cpuinfo": "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd42\n",
    "proc/meminfo": "MemTotal:        7802228 kB\n",
    "sys/devices/system/cpu/online": "0-3,5\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "50093\n",
    "sys/class/thermal/thermal_zone1/type": "cv0-thermal\n",  # its temp cannot be read while the unit is off
    "sys/class/thermal/cooling_device3/type": "cpu-throttle-alert\n",
    "sys/class/thermal/cooling_device3/cur_state": "0\n",
    "sys/class/hwmon/hwmon3/name": "soctherm_oc\n",
    "sys/class/hwmon/hwmon3/oc1_event_cnt": "1\n",
    "sys/class/hwmon/hwmon3/oc2_event_cnt": "0\n",
    "sys/class/hwmon/hwmon3/oc3_event_cnt": "37\n",
}


def test_a_raspberry_pi(tmp_path: Path) -> None:
    write(tmp_path, PI4)

    found, now = board.describe(tmp_path), board.conditions(tmp_path)

    assert (found.board, found.cpu) == ("Raspberry Pi 4 Model B Rev 1.4", "Cortex-A72")
    assert (found.cores, found.memory_bytes) == (4, 3884304 * 1024)
    assert (now.governor, now.clock_mhz, now.max_clock_mhz) == ("ondemand", 600.0, 1800.0)
    assert now.temperature_c == {"cpu-thermal": 48.199}
    assert (now.throttled, now.throttle_events) == ((), 0)


@pytest.mark.parametrize(
    ("bits", "reasons"),
    [
        ("50000", ()),  # it happened once, but not now
        ("50005", ("undervoltage", "throttled")),
        ("e0008", ("soft_temperature_limit",)),
        ("2", ("frequency_capped",)),
        ("", ()),
    ],
)
@pytest.mark.parametrize("place", ["soc/soc:firmware", "soc@107c000000/soc@107c000000:firmware"])
def test_the_pis_throttling_bits(tmp_path: Path, place: str, bits: str, reasons: tuple[str, ...]) -> None:
    write(tmp_path, PI4 | {f"sys/devices/platform/{place}/get_throttled": bits + "\n"})

    assert board.throttling(tmp_path).reasons == reasons


def test_what_happened_between_two_looks(tmp_path: Path) -> None:
    write(tmp_path, ORIN)
    before = board.throttling(tmp_path)
    write(tmp_path, {"sys/class/hwmon/hwmon3/oc3_event_cnt": "38\n"})
    after = board.throttling(tmp_path)

    assert before.since(before) == ()
    assert after.since(before) == ("throttle_events",)
    assert board.Throttling((), 0).since(board.Throttling(("undervoltage",), 0)) == ("undervoltage",)


def test_what_the_pis_firmware_remembers_counts_as_events(tmp_path: Path) -> None:
    write(tmp_path, PI4 | {"sys/devices/platform/soc/soc:firmware/get_throttled": "50000\n"})

    assert board.throttling(tmp_path).events == 2


def test_undervoltage_where_the_kernel_is_not_the_pis_own(tmp_path: Path) -> None:
    files = PI4 | {"sys/class/hwmon/hwmon1/in0_lcrit_alarm": "1\n"}
    files.pop("sys/devices/platform/soc/soc:firmware/get_throttled")
    write(tmp_path, files)

    assert board.throttling(tmp_path).reasons == ("undervoltage",)


def test_a_jetson(tmp_path: Path) -> None:
    write(tmp_path, ORIN)

    found, now = board.describe(tmp_path), board.conditions(tmp_path)

    assert (found.board, found.cpu, found.cores) == ("NVIDIA Jetson Orin Nano Developer Kit", "Cortex-A78AE", 5)
    assert now.temperature_c == {"cpu-thermal": 50.093}
    assert (now.throttled, now.throttle_events) == ((), 38)


@pytest.mark.parametrize("kind", ["cpu-throttle-alert", "cpufreq-cpu0", "thermal-cpufreq-0"])
def test_a_cooling_device_that_slows_the_processor(tmp_path: Path, kind: str) -> None:
    device = "sys/class/thermal/cooling_device3/"
    write(tmp_path, ORIN | {device + "type": f"{kind}\n", device + "cur_state": "2\n"})

    assert board.throttling(tmp_path).reasons == (kind,)


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
    assert board.throttling(tmp_path).events == 7


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
