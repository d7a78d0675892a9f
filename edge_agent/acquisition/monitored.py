"""A source that is watched while it is read: where samples are missing, when it is silent, how fast it really sends.

Every reader of a sensor shares these rules, so that what one calls an interruption is one to all:

* gap: the source says so (its counter jumped, its cable was pulled), or it is a dropout.
* dropout: a live source that was sending is quiet for a second, and for five samples' time.
* silence: nothing comes for the source's ``silence_s``, and for five samples' time.
* rate: of a live source, over the time since its stream last began, once that is ten seconds. Who reads for weeks
  judges the last minute instead (:mod:`edge_agent.sensing.rate`), where a sensor that became slower shows.
* deadline: one and a half times what the samples take at the source's rate, and a minute.

:meth:`MonitoredSource.read` never raises for a limit. Who wants a number of samples calls
:meth:`~MonitoredSource.check` after each read; a capture also :meth:`~MonitoredSource.check_rate`, which a preview
leaves out, as it shows what it finds. Who reads for weeks looks at :attr:`~MonitoredSource.silent`, reports it and
goes on.

Time is the monotonic clock's: setting the clock changes nothing. A process that was stopped for long, or had no
processor, finds the samples waiting; so quiet needs two reads in a row that brought nothing, not one late one.
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
"""A source is not quiet before so many samples' time, however slow it is."""
RATE_AFTER_S = 10.0
DEADLINE_FACTOR, DEADLINE_SLACK_S = 1.5, 60.0
_EMPTY_READS = 2
_EARLY_S, _FAR_ABOVE = 0.5, 2.0


class Gap(Enum):
    """The type of ``GAP``."""

    GAP = "gap"


GAP: Final = Gap.GAP
"""What comes next does not follow on what came before."""


@dataclass(frozen=True, slots=True)
class QuietLimits:
    """How long a source may send nothing, in seconds.

    Attributes:
        dropout_s: after this, samples were lost.
        silence_s: after this, it is silent.
    """

    dropout_s: float
    silence_s: float

    @classmethod
    def of(cls, rate_hz: float, silence_s: float) -> "QuietLimits":
        """The limits of a source of ``rate_hz`` whose operator allows ``silence_s``."""
        few_s = FEW_SAMPLES / rate_hz
        return cls(max(DROPOUT_S, few_s), max(silence_s, few_s))


class MonitoredSource:
    """An open source and what was seen of it. It is not closed here.

    Attributes:
        samples: how many came.
        interruptions: how often the stream stopped after it had begun.
    """

    def __init__(self, source: Source, name: str) -> None:
        """Watch ``source`` from now on; ``name`` is for messages."""
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
        """The next samples, ``GAP`` before such as do not follow, or None if nothing came within ``timeout_s``.

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
        """How long nothing has come."""
        return time.monotonic() - self._heard

    @property
    def silent(self) -> bool:
        """Whether nothing has come for so long that the sensor must be silent or lost."""
        return self._quiet_for(self._limits.silence_s, time.monotonic())

    def allow(self, samples: int) -> None:
        """Expect so many samples more: the deadline is set, or moves by the time that they take."""
        begins = self._began + DEADLINE_SLACK_S if self._deadline is None else self._deadline
        self._deadline = begins + DEADLINE_FACTOR * samples / self._source.rate_hz

    def check(self, missing: int) -> None:
        """Give the source up if it is past a limit; ``missing`` is how many samples are still wanted.

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
        """Raise ``Refusal`` (wrong_rate) as soon as it is plain that samples come too rarely."""
        found = self._rate_finding()
        if found is not None and found.refuse:
            trouble = f"; {self._source.trouble}" if self._source.trouble else ""
            raise Refusal(found.code, found.message + trouble)

    def findings(self) -> list[StreamFinding]:
        """All that is to be said of the stream until here."""
        source = self._source
        malformed = malformed_finding(source.malformed, malformed_example(source), live=source.live)
        found = (self._rate_finding(), malformed, gaps_finding(self.interruptions))
        return [*source_findings(source), *(finding for finding in found if finding is not None)]

    @property
    def expected_rate_hz(self) -> float | None:
        """The rate that the rest is going to come at: as seen, else as the source says; None: too soon to tell.

        After a short time what is seen counts only where it is far above: a recording, or a simulated sensor.
        """
        said_hz, since = self._source.rate_hz, time.monotonic() - self._began
        if since < _EARLY_S:
            return None
        if seen := self._source.arrivals.rate_hz(RATE_AFTER_S):
            return seen
        brief = self._source.arrivals.rate_hz(_EARLY_S / 2) if self._source.live else self.samples / since
        return brief if brief and brief > _FAR_ABOVE * said_hz else said_hz

    def _dropped_out(self, now: float) -> bool:
        return self._source.live and self._quiet_for(self._limits.dropout_s, now)

    def _quiet_for(self, limit_s: float, now: float) -> bool:
        return self._empty_reads >= _EMPTY_READS and now - self._heard > limit_s

    def _rate_finding(self) -> StreamFinding | None:
        seen_hz = self._source.arrivals.rate_hz(RATE_AFTER_S) if self._source.live else None
        return None if seen_hz is None else rate_finding(seen_hz, self._source.rate_hz, rate_said_by(self._source))
