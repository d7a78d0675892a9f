"""Which shared sensors of the config do not answer any more, and which do again. Pure.

A cable that is plugged in again within half a minute is no event, nor is a sensor that takes so long to come at a boot.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from edge_agent.telemetry.alarm import Alarm, times

GRACE_S = 30.0


@dataclass(slots=True)
class _Sensor:
    code: str = ""
    sentence: str = ""
    quiet_since_s: float | None = None
    told: bool = False
    alarm: Alarm = field(default_factory=Alarm)


class SensorWatch:
    """Raises ``sensor_lost`` and ``sensor_back``.

    Args:
        tell: raises an event: kind, sentence, code.
        grace_s: how long a sensor may be quiet.
    """

    def __init__(self, tell: Callable[[str, str, str], None], grace_s: float = GRACE_S) -> None:
        self._tell = tell
        self._grace_s = grace_s
        self._sensors: dict[str, _Sensor] = {}

    def note(self, name: str, sentence: str, *, code: str, answers: bool, now_s: float) -> None:
        """A sensor's process has spoken, or ended.

        Args:
            name: of the sensor.
            sentence: what the log says of it.
            code: why it does not answer; empty: it is silent.
            answers: whether samples come.
            now_s: of a clock that is not set back.
        """
        sensor = self._sensors.setdefault(name, _Sensor())
        sensor.code, sensor.sentence = code, sentence
        if not answers:
            if sensor.quiet_since_s is None:
                sensor.quiet_since_s = now_s
            return
        sensor.quiet_since_s = None
        sensor.alarm.over()
        if sensor.told:
            sensor.told = False
            self._tell("sensor_back", f"sensor {sentence}", "")

    def tick(self, now_s: float) -> None:
        """Time has passed."""
        for sensor in self._sensors.values():
            if sensor.quiet_since_s is None or now_s - sensor.quiet_since_s < self._grace_s:
                continue
            if begun := sensor.alarm.note(now_s, is_on=True):
                sensor.told = True
                self._tell("sensor_lost", times(f"sensor {sensor.sentence}", begun), sensor.code or "source_silent")
