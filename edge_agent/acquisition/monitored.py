"""A source that is monitored while it is read: for gaps, silence, and its actual rate.

All readers of a sensor share these rules, so that they agree on interruptions:

* gap: the source reports it (its counter jumped, its cable was pulled), or there is a dropout.
* dropout: a live source that was sending is quiet for a second, and for five samples' time.
* silence: no sample arrives for the source's ``silence_s``, and for five samples' time.
* rate: that of a live source since its stream last started, once that is ten seconds ago. A reader that runs for weeks
  judges the last minute instead (:mod:`edge_agent.sensing.rate`), which reveals a sensor that has become slower.
* deadline: one and a half times the samples' duration at the source's rate, plus a minute.

:meth:`MonitoredSource.read` never raises for a limit. A reader that needs a number of samples calls
:meth:`~MonitoredSource.check` after each read. A capture also calls :meth:`~MonitoredSource.check_rate`; a preview does
not, since it shows any rate. A reader that runs for weeks checks :attr:`~MonitoredSource.silent`, reports it and
continues.

All times are monotonic, so setting the clock has no effect. A process that was stopped for long, or had no processor,
finds the samples waiting. So quiet requires two reads in a row without a sample, not one late read.
"""

import time
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from numpy.typing import NDArray

from edge_agent.acquisition.source import Source, malformed_example, rate_said_by, source_findings
from edge_agent.acquisition.stream_findings import (
    StreamFinding,
    deadline_error,
    gaps_finding,
    malformed_finding,
    rate_finding,
    silence_error,
)
from edge_agent.errors import Refusal

Samples = NDArray[Any]

POLL_S = 0.5
DROPOUT_S = 1.0
FEW_SAMPLES = 5
"""A source is not quiet before the time of this many samples, however slow it is."""
RATE_AFTER_S = 10.0
DEADLINE_FACTOR, DEADLINE_SLACK_S = 1.5, 60.0
_EMPTY_READS = 2
_EARLY_S, _FAR_ABOVE = 0.5, 2.0


class Gap(Enum):
    """The type of ``GAP``."""

    GAP = "gap"


GAP: Final = Gap.GAP
"""Samples are missing between the previous ones and the next."""


@dataclass(frozen=True, slots=True)
class QuietLimits:
    """How long a source may send nothing, in seconds.

    Attributes:
        dropout_s: after this time samples count as lost.
        silence_s: after this time the source counts as silent.
    """

    dropout_s: float
    silence_s: float

    @classmethod
    def of(cls, rate_hz: float, silence_s: float) -> "QuietLimits":
        """Return the limits of a source of ``rate_hz`` with the configured ``silence_s``."""
        few_s = FEW_SAMPLES / rate_hz
        return cls(max(DROPOUT_S, few_s), max(silence_s, few_s))


class MonitoredSource:
    """An open source with its observed behaviour. It does not close the source.

    Attributes:
        samples: number of samples read.
        interruptions: number of interruptions after the stream had started.
    """

    def __init__(self, source: Source, name: str) -> None:
        """Monitor ``source`` from now on; ``name`` is for messages."""
        self._source, self._name = source, name
        self._limits = QuietLimits.of(source.rate_hz, source.silence_s)
        self._began = self._heard = time.monotonic()
        self._deadline: float | None = None
        self._gaps = source.gaps
        self._empty_reads = 0
        self._on = False
        self._held: Samples | None = None
        self.samples = self.interruptions = 0

    def read(self, timeout_s: float = POLL_S) -> Samples | Gap | None:
        """Return the next samples, or ``GAP`` before them if others are missing; None after ``timeout_s``.

        Raises:
            EndOfSource: a recording has ended.
        """
        if self._held is not None:
            held, self._held = self._held, None
            return held
        arrived = self._source.read(timeout_s)
        now = time.monotonic()
        self._empty_reads = self._empty_reads + 1 if arrived is None else 0
        broken = self._source.gaps != self._gaps or (self._on and self._dropped_out(now))
        self._gaps = self._source.gaps
        if broken:
            self.interruptions += self._on
            self._on = False
            if arrived is None:
                self._source.arrivals.interrupt()
        if arrived is not None:
            self._heard, self._on = now, True
            self.samples += len(arrived)
        if not broken:
            return arrived
        self._held = arrived
        return GAP

    @property
    def quiet_s(self) -> float:
        """Time since the last sample."""
        return time.monotonic() - self._heard

    @property
    def silent(self) -> bool:
        """Whether the last sample is so old that the sensor must be silent or lost."""
        return self._quiet_for(self._limits.silence_s, time.monotonic())

    def allow(self, samples: int) -> None:
        """Expect ``samples`` more samples: set the deadline, or move it by their duration."""
        begins = self._began + DEADLINE_SLACK_S if self._deadline is None else self._deadline
        self._deadline = begins + DEADLINE_FACTOR * samples / self._source.rate_hz

    def check(self, missing: int) -> None:
        """Raise if the source has exceeded a limit; ``missing`` is the number of samples still needed.

        Raises:
            SourceError: ``source_silent``, ``source_lost``.
            LimitError: ``capture_timeout``.
        """
        if self.silent:
            raise silence_error(
                self._name, self._limits.silence_s, ever_heard=self.samples > 0, trouble=self._source.trouble
            )
        if missing > 0 and self._deadline is not None and time.monotonic() > self._deadline:
            raise deadline_error(self._name, missing, self._deadline - self._began)

    def check_rate(self) -> None:
        """Raise ``Refusal`` (wrong_rate) as soon as the rate is certain to be too low."""
        found = self._rate_finding()
        if found is not None and found.refuse:
            trouble = f"; {self._source.trouble}" if self._source.trouble else ""
            raise Refusal(found.code, found.message + trouble)

    def findings(self) -> list[StreamFinding]:
        """Return all findings about the stream so far."""
        source = self._source
        malformed = malformed_finding(source.malformed, malformed_example(source), live=source.live)
        found = (self._rate_finding(), malformed, gaps_finding(self.interruptions))
        return [*source_findings(source), *(finding for finding in found if finding is not None)]

    @property
    def expected_rate_hz(self) -> float | None:
        """The expected rate of the remaining samples: the measured one, else the source's; None: too early.

        After a short time the measured rate counts only if it is far higher: a recording, or a simulated sensor.
        """
        stated_hz, since = self._source.rate_hz, time.monotonic() - self._began
        if since < _EARLY_S:
            return None
        if seen := self._source.arrivals.rate_hz(RATE_AFTER_S):
            return seen
        brief = self._source.arrivals.rate_hz(_EARLY_S / 2) if self._source.live else self.samples / since
        return brief if brief and brief > _FAR_ABOVE * stated_hz else stated_hz

    def _dropped_out(self, now: float) -> bool:
        return self._source.live and self._quiet_for(self._limits.dropout_s, now)

    def _quiet_for(self, limit_s: float, now: float) -> bool:
        return self._empty_reads >= _EMPTY_READS and now - self._heard > limit_s

    def _rate_finding(self) -> StreamFinding | None:
        seen_hz = self._source.arrivals.rate_hz(RATE_AFTER_S) if self._source.live else None
        return None if seen_hz is None else rate_finding(seen_hz, self._source.rate_hz, rate_said_by(self._source))
