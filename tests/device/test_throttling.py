"""Trees as the named boards' kernels show them: what slows the processor, now and since the boot."""

from pathlib import Path

import pytest
from support.boards import ORIN, PI4, write

from edge_agent.device.throttling import Throttling, throttling


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

    assert throttling(tmp_path).reasons == reasons


def test_what_happened_between_two_looks(tmp_path: Path) -> None:
    write(tmp_path, ORIN)
    before = throttling(tmp_path)
    write(tmp_path, {"sys/class/hwmon/hwmon3/oc3_event_cnt": "38\n"})
    after = throttling(tmp_path)

    assert before.since(before) == ()
    assert after.since(before) == ("throttle_events",)
    assert Throttling((), 0).since(Throttling(("undervoltage",), 0)) == ("undervoltage",)


def test_what_the_pis_firmware_remembers_counts_as_events(tmp_path: Path) -> None:
    write(tmp_path, PI4 | {"sys/devices/platform/soc/soc:firmware/get_throttled": "50000\n"})

    assert throttling(tmp_path).events == 2


def test_undervoltage_where_the_kernel_is_not_the_pis_own(tmp_path: Path) -> None:
    files = PI4 | {"sys/class/hwmon/hwmon1/in0_lcrit_alarm": "1\n"}
    files.pop("sys/devices/platform/soc/soc:firmware/get_throttled")
    write(tmp_path, files)

    assert throttling(tmp_path).reasons == ("undervoltage",)


@pytest.mark.parametrize("kind", ["cpu-throttle-alert", "cpufreq-cpu0", "thermal-cpufreq-0"])
def test_a_cooling_device_that_slows_the_processor(tmp_path: Path, kind: str) -> None:
    device = "sys/class/thermal/cooling_device3/"
    write(tmp_path, ORIN | {device + "type": f"{kind}\n", device + "cur_state": "2\n"})

    assert throttling(tmp_path).reasons == (kind,)


def test_what_the_firmware_remembers_is_told_apart_from_what_is_now(tmp_path: Path) -> None:
    write(tmp_path, PI4 | {"sys/devices/platform/soc/soc:firmware/get_throttled": "50004\n"})

    found = throttling(tmp_path)

    assert (found.reasons, found.happened, found.counted) == (("throttled",), ("undervoltage", "throttled"), 0)
    assert (found.tells_speed, found.tells_voltage) == (True, True)


@pytest.mark.parametrize("driver", [True, False])
def test_the_firmware_remembers_where_no_driver_of_the_kernel_clears_it(tmp_path: Path, *, driver: bool) -> None:
    files = dict(PI4)
    if not driver:
        files.pop("sys/class/hwmon/hwmon1/name")
    write(tmp_path, files)

    assert throttling(tmp_path).remembers is not driver


def test_a_kernel_that_is_not_the_pis_own_tells_of_voltage_and_remembers_nothing(tmp_path: Path) -> None:
    files = dict(PI4)
    files.pop("sys/devices/platform/soc/soc:firmware/get_throttled")
    write(tmp_path, files)

    found = throttling(tmp_path)

    assert (found.tells_speed, found.tells_voltage, found.remembers) == (False, True, False)


def test_where_nothing_is_told_nothing_is_known(tmp_path: Path) -> None:
    assert throttling(tmp_path) == Throttling((), 0)
