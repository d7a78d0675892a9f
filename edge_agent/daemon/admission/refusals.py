"""Reports refused orders in the device's status and in the log: each document once, at a limited rate.

Refusals of orders with a trusted signature come first, each in a status of its own, as the sender waits for the answer.
Of all others, which anybody may have sent, only the newest is reported, with a count of the rest.
"""

import logging
import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable

from edge_agent.daemon.publisher import Publisher
from edge_agent.errors import EdgeAgentError
from edge_agent.foreign.allowance import Allowance
from edge_agent.wire.messages import Refused
from edge_agent.wire.topics import CommandTopic, WantTopic

log = logging.getLogger(__name__)

_MOST_REPORTED = 1024
_MOST_WAITING = 64
_NOTIFY_AGAIN_AFTER_S = 3600.0
_NOTIFIED_AT_ONCE, _NOTIFIED_PER_S = 20, 6 / 3600
"""For all orders together, as somebody may have stored many old signed ones."""


class Refusals:
    """Used from the consumer only; :meth:`tick` is called once a second."""

    def __init__(self, publisher: Publisher, on_signed: Callable[[Refused], None] = lambda _refused: None) -> None:
        """``on_signed`` is called with a just sent, signed order that is refused, at most once an hour."""
        self._publisher = publisher
        self._on_signed = on_signed
        self._reported: OrderedDict[bytes, str] = OrderedDict()
        """Fingerprint → code: a retained document arrives again at every connect, and is refused once."""
        self._notified: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        """Name, job and code → time of the ``on_signed`` call. Not keyed by fingerprint: anybody who has seen a signed
        order can wrap it in a new envelope as often as they like."""
        self._allowance = Allowance(_NOTIFIED_PER_S, _NOTIFIED_AT_ONCE)
        self._signed: deque[Refused] = deque(maxlen=_MOST_WAITING)
        self._unsigned: Refused | None = None
        self._unreported = 0
        self._command = ""
        """The last refused command, until another one succeeds."""

    def refuse(
        self,
        topic: WantTopic | CommandTopic,
        fingerprint: bytes,
        job: str,
        error: EdgeAgentError,
        *,
        signed: bool,
        live: bool,
    ) -> None:
        """Refuse a document. ``live``: it was sent just now, so the refusal is reported even if it was before."""
        news = self._reported.get(fingerprint) != error.code
        if not news and not live:
            return
        self._reported[fingerprint] = error.code
        if len(self._reported) > _MOST_REPORTED:
            self._reported.popitem(last=False)
        name = topic.model if isinstance(topic, WantTopic) else topic.command
        if isinstance(topic, CommandTopic):
            self._command = name
        self._publisher.count_refused()
        refused = Refused(model=name, job=job, code=error.code, message=error.message)
        if signed and error.code != "wrong_target":  # anybody can replay an order that they saw elsewhere
            if refused not in self._signed:
                log.warning("refused %s for %s: %s", name, topic.scope, error)
                self._signed.append(refused)
            if live:  # a retained order arrives again at every start
                self._notify(refused)
        else:
            self._unreported += 1
            self._unsigned = refused
        self.tick()

    def _notify(self, refused: Refused) -> None:
        known, now = (refused.model, refused.job, refused.code), time.monotonic()
        if now - self._notified.get(known, -math.inf) < _NOTIFY_AGAIN_AFTER_S or not self._allowance.take():
            return
        self._notified[known] = now
        self._notified.move_to_end(known)
        if len(self._notified) > _MOST_REPORTED:
            self._notified.popitem(last=False)
        self._on_signed(refused)

    def command_obeyed(self) -> None:
        """Clear the refusal of the last refused command, as a later command has succeeded."""
        self._publisher.forget_refusal(self._command)

    def tick(self) -> None:
        """Report the next refusal, if one is due."""
        if not self._publisher.may_refuse():
            return
        if self._signed:
            self._publisher.refuse(self._signed.popleft())
        elif self._unsigned is not None:
            others = f"; {self._unreported - 1} more since the last reported one" if self._unreported > 1 else ""
            one = self._unsigned
            log.warning("refused %s: %s: %s%s", one.model, one.code, one.message, others)
            self._publisher.refuse(one)
            self._unsigned, self._unreported = None, 0
