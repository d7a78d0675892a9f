"""Says which orders are not obeyed: in the device's status, and in the log, each document once and not too often.

What is signed by a trusted key is said first, each in a status of its own: whoever pushed it waits for the answer. Of
what anybody may have sent, the newest is said, and the others are counted.
"""

import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable

from edge_agent.daemon.publisher import REPORT_EVERY_S, Publisher
from edge_agent.errors import EdgeAgentError
from edge_agent.wire.messages import Refused
from edge_agent.wire.topics import CommandTopic, WantTopic

log = logging.getLogger(__name__)

_MOST_SAID = 1024
_MOST_WAITING = 64


class Refusals:
    """Used from the consumer only; :meth:`tick` is called once a second."""

    def __init__(self, publisher: Publisher, on_signed: Callable[[Refused], None] = lambda _refused: None) -> None:
        """``on_signed`` is called once with each signed order that is refused; anybody may send it again."""
        self._publisher = publisher
        self._on_signed = on_signed
        self._said: OrderedDict[bytes, str] = OrderedDict()
        """Fingerprint → code: a retained document comes again at every connect, and is refused once."""
        self._signed: deque[Refused] = deque(maxlen=_MOST_WAITING)
        self._unsigned: Refused | None = None
        self._unsaid = 0
        self._said_at = 0.0
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
            if news:
                self._on_signed(refused)
        else:
            self._unsaid += 1
            self._unsigned = refused
        self.tick()

    def command_obeyed(self) -> None:
        """What was refused of commands before is over."""
        self._publisher.forget_refusal(self._command)

    def tick(self) -> None:
        """Say the next one, if it is time to."""
        if time.monotonic() - self._said_at < REPORT_EVERY_S or not (self._signed or self._unsigned):
            return
        self._said_at = time.monotonic()
        if self._signed:
            self._publisher.refuse(self._signed.popleft())
        elif self._unsigned is not None:
            others = f"; {self._unsaid - 1} more since the last one that was said" if self._unsaid > 1 else ""
            one = self._unsigned
            log.warning("refused %s: %s: %s%s", one.model, one.code, one.message, others)
            self._publisher.refuse(one)
            self._unsigned, self._unsaid = None, 0
