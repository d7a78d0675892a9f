"""Which silence of a sensor is an event, and when it is over."""

import pytest

from edge_agent.telemetry.sensor_watch import GRACE_S, SensorWatch


class Sensor:
    """A watch over one sensor, at a time that a test moves on."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str]] = []
        self.watch = SensorWatch(lambda *what: self.told.append(what))
        self.now = 1000.0

    def says(self, *, answers: bool, code: str = "") -> None:
        state = "open" if answers else "waiting"
        self.watch.note("imu", f"imu: {state}", code=code, answers=answers, now_s=self.now)

    def wait(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            self.now += 1.0
            self.watch.tick(self.now)

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _, _ in self.told]


@pytest.fixture
def imu() -> Sensor:
    return Sensor()


def test_lost_after_half_a_minute_and_back_after_as_long(imu: Sensor) -> None:
    imu.says(answers=True)
    imu.wait(100)
    imu.says(answers=False, code="source_lost")
    imu.wait(GRACE_S - 1)
    assert imu.told == []
    imu.wait(10)
    assert imu.told == [("sensor_lost", "sensor imu: waiting", "source_lost")]
    imu.says(answers=True)
    imu.wait(GRACE_S - 1)
    assert len(imu.told) == 1
    imu.wait(2)

    assert imu.told[1:] == [("sensor_back", "sensor imu: open", "")]


def test_a_cable_that_is_plugged_in_again_soon_is_no_event(imu: Sensor) -> None:
    for _ in range(20):
        imu.says(answers=False)
        imu.wait(GRACE_S - 5)
        imu.says(answers=True)

    assert imu.told == []


def test_one_that_was_never_there_is_lost_and_silence_has_a_code(imu: Sensor) -> None:
    imu.says(answers=False)
    imu.wait(GRACE_S + 1)

    assert imu.told == [("sensor_lost", "sensor imu: waiting", "source_silent")]


def test_flapping_is_told_once_an_hour_with_how_often_and_is_lost_until_then(imu: Sensor) -> None:
    for _ in range(20):
        imu.says(answers=False)
        imu.wait(100)
        imu.says(answers=True)
        imu.wait(GRACE_S + 10)
    assert imu.kinds == ["sensor_lost", "sensor_back", "sensor_lost"]
    imu.wait(3600)
    assert imu.kinds == ["sensor_lost", "sensor_back"] * 2
    imu.says(answers=False)
    imu.wait(100)

    assert imu.kinds == [*["sensor_lost", "sensor_back"] * 2, "sensor_lost"]
    assert "(19 times since" in imu.told[-1][1]


def test_one_that_dies_just_after_it_was_back_is_lost_at_once(imu: Sensor) -> None:
    imu.says(answers=False)
    imu.wait(40)
    imu.says(answers=True)
    imu.wait(60)
    imu.says(answers=False)
    imu.wait(GRACE_S + 1)

    assert imu.kinds == ["sensor_lost", "sensor_back", "sensor_lost"]


def test_it_may_say_the_same_again_and_again(imu: Sensor) -> None:
    for _ in range(100):
        imu.says(answers=False)
        imu.wait(10)

    assert imu.kinds == ["sensor_lost"]
