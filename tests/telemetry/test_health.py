"""What a sample says, and which of its changes are events."""

from dataclasses import replace

import pytest

from edge_agent.device.readings import Readings
from edge_agent.device.throttling import Throttling
from edge_agent.telemetry.health import AgentFacts, HealthWatch
from edge_agent.wire.messages import Message, decode, encode
from edge_agent.wire.telemetry import Health

NOTHING = Throttling((), 0)
PI = Throttling((), 0, tells_speed=True, tells_voltage=True, remembers=True)
FIRST = Readings(
    at_s=100.0, uptime_s=7200.0, cpu_busy=1000, cpu_total=10_000, load_1m=0.5, memory_available_bytes=10**9,
    swap_used_bytes=0, disk_free_bytes=10**9, disk_written_bytes=600_000_000, temperature_c=50.0, clock_hz=1.5e9,
    throttling=PI, process_rss_bytes=25_000_000, process_cpu_s=2.0,
)  # fmt: skip
AGENT = AgentFacts(uptime_s=12.34, reconnects=2, dropped_messages=5, clock_plausible=True)
RESERVE = 32 << 20


class Kept:
    """A watch, and what it has told."""

    def __init__(self, first: Readings = FIRST) -> None:
        self.told: list[tuple[str, str, str]] = []
        self.watch = HealthWatch(lambda *what: self.told.append(what), first, RESERVE)
        self.now = first

    def look(self, seconds: float = 60.0, **changed: object) -> Health:
        self.now = replace(self.now, at_s=self.now.at_s + seconds, **changed)  # type: ignore[arg-type]  # of Readings
        self.watch.note(self.now)
        said = self.watch.health("pi-01", self.now, AGENT, Message(ts="t", seq=1, boot_id="b"))
        return decode(encode(said), Health)

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _, _ in self.told]


def test_shares_are_of_the_time_since_the_sample_before() -> None:
    kept = Kept()
    kept.look(cpu_busy=1500, cpu_total=12_000, process_cpu_s=2.06)

    said = kept.look(cpu_busy=1600, cpu_total=13_000, process_cpu_s=2.12)

    assert (said.cpu_share, said.agent_cpu_share) == (0.1, 0.001)
    assert (said.device, said.ts, said.seq, said.boot_id) == ("pi-01", "t", 1, "b")
    assert (said.agent_uptime_s, said.reconnects, said.dropped_messages) == (12.3, 2, 5)
    assert said.disk_written_bytes_per_day == 600_000_000 / 7200 * 86_400


@pytest.mark.parametrize(("busy", "share"), [(3000, 1.0), (500, 0.0)])
def test_a_share_is_no_more_than_all_and_no_less_than_nothing(busy: int, share: float) -> None:
    """The kernel's count of the time that waits for a disk goes back now and then."""
    assert Kept().look(cpu_busy=busy, cpu_total=11_000).cpu_share == share


def test_what_is_looked_at_in_between_shortens_no_share() -> None:
    kept = Kept()
    for n in range(1, 6):
        kept.watch.note(replace(FIRST, at_s=FIRST.at_s + 60 * n, cpu_busy=2000, cpu_total=10_000 + 1000 * n))

    assert kept.look(360.0, cpu_busy=2500, cpu_total=16_000).cpu_share == 0.25


def test_what_nothing_tells_is_null_and_not_zero() -> None:
    nothing = Readings(
        at_s=0.0, uptime_s=None, cpu_busy=0, cpu_total=0, load_1m=None, memory_available_bytes=None,
        swap_used_bytes=None, disk_free_bytes=None, disk_written_bytes=None, temperature_c=None, clock_hz=None,
        throttling=NOTHING, process_rss_bytes=None, process_cpu_s=0.0,
    )  # fmt: skip
    kept = Kept(nothing)

    said = kept.look()

    nulls = {name for name in Health.__struct_fields__ if getattr(said, name) is None}
    assert nulls == set(Health.__struct_fields__) - {
        *("v", "ts", "seq", "boot_id", "device", "clock_plausible", "agent_uptime_s", "agent_cpu_share"),
        *("reconnects", "dropped_messages"),
    }
    assert kept.told == []


def test_a_boots_own_writes_are_no_days() -> None:
    assert Kept().look(uptime_s=600.0).disk_written_bytes_per_day is None


def test_throttling_is_told_when_it_begins_and_at_most_once_an_hour() -> None:
    kept = Kept()
    slow = replace(PI, reasons=("throttled",))
    for _ in range(10):
        kept.look(throttling=slow, temperature_c=81.2)
        kept.look(throttling=PI)
    assert kept.kinds == ["throttled"]
    assert "81.2 °C (throttled)" in kept.told[0][1]
    kept.look(3600.0, temperature_c=45.0)

    assert kept.kinds == ["throttled"] * 2
    assert "was slowed down, but is not now;" in kept.told[1][1]
    assert "(9 times since" in kept.told[1][1]


def test_a_level_that_stays_is_one_event() -> None:
    kept = Kept()
    for _ in range(200):
        kept.look(throttling=replace(PI, reasons=("throttled",)))

    assert kept.kinds == ["throttled"]


def test_undervoltage_between_two_samples_is_told_by_what_the_firmware_remembers() -> None:
    kept = Kept()

    said = kept.look(throttling=replace(PI, events=1, happened=("undervoltage",)))

    assert (said.undervoltage, said.undervoltage_since_boot) == (False, True)
    assert (said.throttled, said.throttled_since_boot) == (False, False)
    assert kept.kinds == ["undervoltage"]


def test_what_happened_before_the_agent_ran_is_said_and_no_event() -> None:
    kept = Kept(replace(FIRST, throttling=replace(PI, events=2, happened=("undervoltage", "throttled"))))

    said = kept.look()

    assert (said.throttled_since_boot, said.undervoltage_since_boot) == (True, True)
    assert kept.told == []

    said = kept.look(throttling=PI)
    assert (said.throttled_since_boot, said.undervoltage_since_boot) == (True, True), "the driver has cleared it"


def test_a_counter_of_the_kernel_that_rises_is_throttling_now_and_then() -> None:
    jetson = Throttling((), 37, tells_speed=True, remembers=True)
    kept = Kept(replace(FIRST, throttling=jetson))
    assert kept.look().throttled_since_boot

    said = kept.look(throttling=replace(jetson, events=38))

    assert (said.throttled, said.throttled_since_boot, said.undervoltage) == (False, True, None)
    assert kept.kinds == ["throttled"]
    assert "throttle_events" in kept.told[0][1]


def test_where_the_kernel_forgets_the_agent_remembers() -> None:
    """A kernel that is not the Pi's own tells of too little voltage while it lasts."""
    voltage = Throttling((), 0, tells_voltage=True)
    kept = Kept(replace(FIRST, throttling=voltage))
    assert kept.look().undervoltage_since_boot is None, "nobody watched before"
    kept.look(throttling=replace(voltage, reasons=("undervoltage",)))

    said = kept.look(throttling=voltage)

    assert (said.undervoltage, said.undervoltage_since_boot, said.throttled) == (False, True, None)


@pytest.mark.parametrize(("free", "events"), [(RESERVE, 0), (RESERVE - 1, 1)])
def test_a_disk_is_low_below_the_reserve(free: int, events: int) -> None:
    kept = Kept()
    kept.look(disk_free_bytes=free)

    assert len(kept.told) == events


def test_a_disk_that_is_low_must_gain_before_it_can_be_low_again() -> None:
    kept = Kept()
    for free in (RESERVE - 1, RESERVE + 1, RESERVE - 1, RESERVE * 2):
        kept.look(4000.0, disk_free_bytes=free)
    assert kept.told == [("disk_low", kept.told[0][1], "no_space")]
    kept.look(4000.0, disk_free_bytes=0)

    assert kept.kinds == ["disk_low"] * 2
