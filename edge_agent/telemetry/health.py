"""The machine's health as a message, and the events that health readings raise. Pure."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from edge_agent.device.readings import Readings
from edge_agent.device.throttling import UNDERVOLTAGE, Throttling
from edge_agent.telemetry.alarm import Alarm, times
from edge_agent.wire.messages import Message
from edge_agent.wire.telemetry import Health

_DAY_S = 86_400.0
_SETTLED_S = 3600.0
"""Minimum uptime: a boot's own writes would otherwise be extrapolated to a whole day."""
_ROOM_AGAIN = 1.5
"""Multiple of the reserve above which the disk no longer counts as low."""


@dataclass(frozen=True, slots=True)
class AgentFacts:
    """Facts about the agent's own process."""

    uptime_s: float
    reconnects: int
    dropped_messages: int
    clock_plausible: bool


class HealthWatch:
    """Follows the readings: remembers throttling that the kernel forgets, and raises events.

    Args:
        tell: raises an event: kind, sentence, code.
        first: readings that the first sample is compared with.
        reserve_bytes: disk space that transfers leave to the rest of the system.
    """

    def __init__(self, tell: Callable[[str, str, str], None], first: Readings, reserve_bytes: int) -> None:
        self._tell = tell
        self._reserve_bytes = reserve_bytes
        self._noted = self._published = first
        known = {*first.throttling.reasons, *first.throttling.happened}
        self._throttled = bool(known - {UNDERVOLTAGE})
        self._undervoltage = UNDERVOLTAGE in known
        self._slow = Alarm()
        self._weak = Alarm()
        self._full = Alarm()
        self._is_full = False

    def health(self, device: str, now: Readings, agent: AgentFacts, stamp: Message) -> Health:
        """The health message for ``now``, which :meth:`note` has seen; shares cover the time since the last message."""
        before, self._published = self._published, now
        seconds, ticks = now.at_s - before.at_s, now.cpu_total - before.cpu_total
        known, state = now.throttling, set(now.throttling.happened)
        return Health(
            device=device,
            ts=stamp.ts,
            seq=stamp.seq,
            boot_id=stamp.boot_id,
            uptime_s=now.uptime_s,
            cpu_share=_fraction((now.cpu_busy - before.cpu_busy) / ticks) if ticks > 0 else None,
            load_1m=now.load_1m,
            memory_available_bytes=now.memory_available_bytes,
            swap_used_bytes=now.swap_used_bytes,
            disk_free_bytes=now.disk_free_bytes,
            disk_written_bytes_per_day=_a_day(now),
            temperature_c=now.temperature_c,
            clock_hz=now.clock_hz,
            throttled=bool(_slow(known)) if known.tells_speed else None,
            throttled_since_boot=_since_boot(
                known, happened=self._throttled or bool(state - {UNDERVOLTAGE}) or known.counted > 0
            ),
            undervoltage=UNDERVOLTAGE in known.reasons if known.tells_voltage else None,
            undervoltage_since_boot=_since_boot(
                known, happened=self._undervoltage or UNDERVOLTAGE in state, tells=known.tells_voltage
            ),
            clock_plausible=agent.clock_plausible,
            agent_uptime_s=_rounded(agent.uptime_s, 1),
            agent_rss_bytes=now.process_rss_bytes,
            agent_cpu_share=_rounded((now.process_cpu_s - before.process_cpu_s) / seconds, 6) if seconds > 0 else None,
            reconnects=agent.reconnects,
            dropped_messages=agent.dropped_messages,
        )

    def note(self, now: Readings) -> None:
        """Raise the events that follow from ``now``; call once for each set of readings."""
        before, self._noted = self._noted.throttling, now
        state = now.throttling
        new = set(state.happened) - set(before.happened)
        slow = {
            *_slow(state),
            *(new - {UNDERVOLTAGE}),
            *({"throttle_events"} if state.counted > before.counted else ()),
        }
        weak = UNDERVOLTAGE in state.reasons or UNDERVOLTAGE in new
        self._throttled |= bool(slow)
        self._undervoltage |= weak
        if begun := self._slow.note(now.at_s, is_on=bool(slow)):
            heat = f" at {now.temperature_c:.1f} °C" if now.temperature_c is not None else ""
            text = f"the processor is slowed down{heat} ({', '.join(sorted(slow))})"
            if not slow:  # the hour between two events has passed while the condition was off
                text = "the processor was slowed down, but is not now"
            self._tell("throttled", times(f"{text}; check the cooling and the power supply", begun), "")
        if begun := self._weak.note(now.at_s, is_on=weak):
            text = f"the supply voltage {'is' if weak else 'was'} too low; use a stronger power supply"
            self._tell("undervoltage", times(text, begun), "")
        self._note_disk(now)

    def _note_disk(self, now: Readings) -> None:
        if (free := now.disk_free_bytes) is None:
            return
        self._is_full = free < self._reserve_bytes * (_ROOM_AGAIN if self._is_full else 1)
        if begun := self._full.note(now.at_s, is_on=self._is_full):
            text = (
                f"{free / 1e6:.1f} MB are free in state_dir, but {self._reserve_bytes / 1e6:.1f} MB must be; free some"
            )
            self._tell("disk_low", times(text, begun), "no_space")


def _slow(state: Throttling) -> tuple[str, ...]:
    return tuple(reason for reason in state.reasons if reason != UNDERVOLTAGE)


def _since_boot(state: Throttling, *, happened: bool, tells: bool | None = None) -> bool | None:
    """True once the condition was seen; False only if the condition was monitored since the boot; otherwise None."""
    if happened:
        return True
    return False if state.remembers and (state.tells_speed if tells is None else tells) else None


def _a_day(now: Readings) -> float | None:
    if now.disk_written_bytes is None or now.uptime_s is None or now.uptime_s < _SETTLED_S:
        return None
    return float(round(now.disk_written_bytes / now.uptime_s * _DAY_S))


def _fraction(share: float) -> float:
    """A share limited to 0 to 1: the kernel's I/O wait counter may go back, which makes the busy share exceed 1."""
    return _rounded(min(1.0, max(0.0, share)), 4)


def _rounded(value: float, digits: int) -> float:
    """A value with few digits: more would cost bytes in every message without use."""
    return round(value, digits) if math.isfinite(value) else 0.0
