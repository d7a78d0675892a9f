"""Detects when shared sensors of the config stop responding, and when they respond again. Pure.

An interruption of less than half a minute raises no event: a cable plugged in again, or a slow sensor at boot. A loss
is reported at once. A recovery is reported at most once an hour, so a sensor that comes and goes counts as lost until
then.
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
    """When the sensor last started or stopped responding."""
    lost: bool = False
    """Whether this silence already counts as a loss."""
    loss_reported: bool = False
    """Whether the last event about this sensor reported a loss."""
    recovery_reported_s: float = -math.inf
    losses: int = 0
    """Losses since the last reported one."""


class SensorWatch:
    """Raises ``sensor_lost`` and ``sensor_back``.

    Args:
        tell: raises an event: kind, sentence, code.
        grace_s: how long a sensor may be silent, and how long a lost sensor must respond again.
    """

    def __init__(self, tell: Callable[[str, str, str], None], grace_s: float = GRACE_S) -> None:
        self._tell = tell
        self._grace_s = grace_s
        self._sensors: dict[str, _Sensor] = {}

    def note(self, name: str, sentence: str, *, code: str, answers: bool, now_s: float) -> None:
        """Record a message from a sensor's process, or the end of that process.

        Args:
            name: name of the sensor.
            sentence: the log's sentence about it.
            code: why it does not respond; empty if it is just silent.
            answers: whether it delivers samples.
            now_s: seconds of a monotonic clock.
        """
        sensor = self._sensors.setdefault(name, _Sensor(since_s=now_s))
        sensor.code, sensor.sentence = code, sentence
        if sensor.answers != answers:
            sensor.answers, sensor.since_s, sensor.lost = answers, now_s, False

    def tick(self, now_s: float) -> None:
        """Raise the events that are due at ``now_s``."""
        for sensor in self._sensors.values():
            if now_s - sensor.since_s < self._grace_s:
                continue
            if not sensor.answers:
                self._note_lost(sensor)
            elif sensor.loss_reported and now_s - sensor.recovery_reported_s >= AGAIN_AFTER_S:
                sensor.loss_reported, sensor.recovery_reported_s = False, now_s
                self._tell("sensor_back", f"sensor {sensor.sentence}", "")

    def _note_lost(self, sensor: _Sensor) -> None:
        if not sensor.lost:
            sensor.lost = True
            sensor.losses += 1
        if not sensor.loss_reported:
            text = times(f"sensor {sensor.sentence}", sensor.losses)
            sensor.loss_reported, sensor.losses = True, 0
            self._tell("sensor_lost", text, sensor.code or "source_silent")
