"""Says which orders are not obeyed: in the device's status, and in the log, each document once and not too often.

What is signed by a trusted key is said first, each in a status of its own: whoever pushed it waits for the answer. Of
what anybody may have sent, the newest is said, and the others are counted.
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

_MOST_SAID = 1024
_MOST_WAITING = 64
_TELL_AGAIN_AFTER_S = 3600.0
_TOLD_AT_ONCE, _TOLD_PER_S = 20, 6 / 3600
"""Of all orders together: somebody may have kept many that were signed long ago."""


class Refusals:
    """Used from the consumer only; :meth:`tick` is called once a second."""

    def __init__(self, publisher: Publisher, on_signed: Callable[[Refused], None] = lambda _refused: None) -> None:
        """``on_signed``: is called with a signed order that was sent just now and is refused, once an hour."""
        self._publisher = publisher
        self._on_signed = on_signed
        self._said: OrderedDict[bytes, str] = OrderedDict()
        """Fingerprint → code: a retained document comes again at every connect, and is refused once."""
        self._told: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        """Name, job and code → when ``on_signed`` was called. Not by fingerprint: anybody who has seen a signed order
        can wrap it anew, as often as they like."""
        self._allowance = Allowance(_TOLD_PER_S, _TOLD_AT_ONCE)
        self._signed: deque[Refused] = deque(maxlen=_MOST_WAITING)
        self._unsigned: Refused | None = None
        self._unsaid = 0
        self._command = ""
        """The newest command that was refused, until another one is obeyed."""

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
        """Refuse a document. ``live``: somebody has sent it just now, so it is said even if it was before."""
        news = self._said.get(fingerprint) != error.code
        if not news and not live:
            return
        self._said[fingerprint] = error.code
        if len(self._said) > _MOST_SAID:
            self._said.popitem(last=False)
        name = topic.model if isinstance(topic, WantTopic) else topic.command
        if isinstance(topic, CommandTopic):
            self._command = name
        self._publisher.count_refused()
        refused = Refused(model=name, job=job, code=error.code, message=error.message)
        if signed and error.code != "wrong_target":  # which anybody can make of what they have seen elsewhere
            if refused not in self._signed:
                log.warning("refused %s for %s: %s", name, topic.scope, error)
                self._signed.append(refused)
            if live:  # what is retained comes again at every start
                self._tell(refused)
        else:
            self._unsaid += 1
            self._unsigned = refused
        self.tick()

    def _tell(self, refused: Refused) -> None:
        known, now = (refused.model, refused.job, refused.code), time.monotonic()
        if now - self._told.get(known, -math.inf) < _TELL_AGAIN_AFTER_S or not self._allowance.take():
            return
        self._told[known] = now
        self._told.move_to_end(known)
        if len(self._told) > _MOST_SAID:
            self._told.popitem(last=False)
        self._on_signed(refused)

    def command_obeyed(self) -> None:
        """What was refused of commands before is over."""
        self._publisher.forget_refusal(self._command)

    def tick(self) -> None:
        """Say the next one, if it is time to."""
        if not self._publisher.may_refuse():
            return
        if self._signed:
            self._publisher.refuse(self._signed.popleft())
        elif self._unsigned is not None:
            others = f"; {self._unsaid - 1} more since the last one that was said" if self._unsaid > 1 else ""
            one = self._unsigned
            log.warning("refused %s: %s: %s%s", one.model, one.code, one.message, others)
            self._publisher.refuse(one)
            self._unsigned, self._unsaid = None, 0
