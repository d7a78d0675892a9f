"""Which shared sensors of the config do not answer any more, and which do again. Pure.

A cable that is plugged in again within half a minute is no event, nor is a sensor that takes so long to come at a boot.
That a sensor is lost is never held back. That it is back is, so one that comes and goes is told once an hour, and
counts as lost until then.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from edge_agent.telemetry.alarm import AGAIN_AFTER_S, times

GRACE_S = 30.0


@dataclass(slots=True)
class _Sensor:
    code: str = ""
    sentence: str = ""
    answers: bool = True
    since_s: float = 0.0
    """When it began to answer, or to be quiet."""
    lost: bool = False
    """Whether this silence counts as a loss already."""
    told_lost: bool = False
    """Whether that was the last word about it."""
    told_back_s: float = -math.inf
    losses: int = 0
    """Since the last one that was told."""


class SensorWatch:
    """Raises ``sensor_lost`` and ``sensor_back``.

    Args:
        tell: raises an event: kind, sentence, code.
        grace_s: how long a sensor may be quiet, and how long one that was lost must answer.
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
        sensor = self._sensors.setdefault(name, _Sensor(since_s=now_s))
        sensor.code, sensor.sentence = code, sentence
        if sensor.answers != answers:
            sensor.answers, sensor.since_s, sensor.lost = answers, now_s, False

    def tick(self, now_s: float) -> None:
        """Time has passed."""
        for sensor in self._sensors.values():
            if now_s - sensor.since_s < self._grace_s:
                continue
            if not sensor.answers:
                self._note_lost(sensor)
            elif sensor.told_lost and now_s - sensor.told_back_s >= AGAIN_AFTER_S:
                sensor.told_lost, sensor.told_back_s = False, now_s
                self._tell("sensor_back", f"sensor {sensor.sentence}", "")

    def _note_lost(self, sensor: _Sensor) -> None:
        if not sensor.lost:
            sensor.lost = True
            sensor.losses += 1
        if not sensor.told_lost:
            text = times(f"sensor {sensor.sentence}", sensor.losses)
            sensor.told_lost, sensor.losses = True, 0
            self._tell("sensor_lost", text, sensor.code or "source_silent")
