"""The link to the broker: one connection, renewed by its own thread whenever it ends.

Does: connect (MQTT 5, or 3.1.1 if the broker does not speak 5), with back-off and jitter; pass everything that happens
to ``on_event`` as one of ``events``; publish, subscribe, acknowledge.

Does not: remember subscriptions. **On every** ``Connected`` **the owner subscribes again** and publishes its retained
messages: the broker may have lost the session, or all its data. For the same reason nothing is queued while there is
no connection.

Invariants:
    * ``on_event`` runs on the link's thread and must only put the event into a queue. An exception in it is logged.
    * The daemon calls ``ack`` once it has handled a message, whatever its QoS. ``inflow`` limits the unhandled messages
      in memory, and those of QoS 1 count towards the broker's window. For host tools (``clean``) paho acknowledges at
      once.
    * Two clients with the same id end each other's connections. The link does not compete: its delays grow.
    * One thread reads, writes and connects (``serving``).
    * ``start``, ``stop``, ``publish``, ``subscribe``, ``unsubscribe`` and ``ack`` may be called from any thread, but
      ``stop`` not from ``on_event``.
"""

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from edge_agent.errors import BrokerError
from edge_agent.mqtt.acknowledgements import Then
from edge_agent.mqtt.client import Client
from edge_agent.mqtt.events import Connected, Disconnected, Event, Incoming, Oversized
from edge_agent.mqtt.inflow import Inflow
from edge_agent.mqtt.options import ClientOptions
from edge_agent.mqtt.outcome import Outcome, Reached
from edge_agent.mqtt.sent import Sent
from edge_agent.mqtt.serving import STOP_TIMEOUT_S
from edge_agent.mqtt.stuck import MOST, Stuck
from edge_agent.mqtt.version import Version, VersionChoice
from edge_agent.mqtt.waker import Waker
from edge_agent.retry.backoff import Backoff
from edge_agent.settings.broker import BrokerSettings

log = logging.getLogger(__name__)

_FIRST_DELAY_S, _JITTER = 1.0, 0.5
_SESSION_S = 7 * 24 * 3600
_LOG_EVERY_S = 60.0
_LOG_TWIN_EVERY_S = 3600.0
_SHORT_S = 30.0
"""A session that ends sooner is a failure, too; after it the next attempt waits at most half of this time."""
_SUSPICIOUS = 5
"""After this many such sessions in a row another client may have the same id."""


class Link:
    """One client's connection to the broker, kept up by a thread of its own until ``stop``.

    Args:
        broker: the broker's address, and our login.
        client_id: our client id.
        on_event: called with every event, on the link's thread; must only put it into a queue.
        will: topic and payload that the broker publishes, retained, if the connection breaks.
        clean: True for host tools: begins without a session, messages are acknowledged on arrival. False for the
            daemon: the broker keeps its session for a week, and the owner acknowledges each message.
        session_s: how long the broker keeps the session of a disconnected clean client, with MQTT 5.
        longest_delay_s: between two attempts to connect; short if a person waits, long for a fleet.
        inflow: limits the messages that wait for the owner, who then must ``ack`` each one; default: no limit.
        acl_line: topic → the line of a broker's ACL that lets us write there, for the log; default: unknown.

    Raises:
        ConfigError: a URL or file is unusable.
    """

    def __init__(
        self,
        broker: BrokerSettings,
        client_id: str,
        *,
        on_event: Callable[[Event], None],
        will: tuple[str, bytes] | None = None,
        clean: bool = True,
        session_s: int = 0,
        longest_delay_s: float = 60.0,
        inflow: Inflow | None = None,
        acl_line: Callable[[str], str] = lambda _topic: "",
    ) -> None:
        self._options = ClientOptions.read(
            broker,
            client_id,
            will=will,
            clean=clean,
            session_s=session_s if clean else _SESSION_S,
            acl_line=acl_line,
        )
        self._on_event = on_event
        self._longest_delay_s = longest_delay_s
        self._backoff = Backoff(_FIRST_DELAY_S, longest_delay_s, jitter=_JITTER)
        self._waker = Waker()
        self._inflow = inflow or Inflow()
        self._short_sessions = 0
        self._choice = VersionChoice()
        self._stuck = Stuck()
        self._client = self._new_client()
        self._failure = Disconnected("the link was not started")
        self._up = threading.Event()
        self._stopping = threading.Event()
        self._at_once = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)

    @property
    def connected(self) -> bool:
        """Whether the link is connected and the broker has accepted it."""
        return self._up.is_set()

    @property
    def version(self) -> Version:
        """The version of MQTT in the newest attempt to connect."""
        return self._client.version

    @property
    def resumes(self) -> bool:
        """Whether we asked the broker to keep our session for the next connection, which MQTT 5 permits."""
        return self.version == "5" and self._options.session_s > 0

    @property
    def trouble(self) -> str:
        """The reason for the current or last lack of a connection, in one sentence."""
        return self._failure.reason

    @property
    def dropped(self) -> int:
        """Number of messages dropped because they arrived faster than the owner handled them."""
        return self._inflow.dropped

    @property
    def max_packet_bytes(self) -> int:
        """The largest packet that the broker accepts; 0: it announced no limit."""
        return self._client.max_packet_bytes

    def start(self) -> None:
        """Start connecting, in the background, without end."""
        self._failure = Disconnected(f"{self._options.broker.url} has not answered yet")
        self._thread.start()

    def wait_connected(self, timeout_s: float) -> None:
        """Return once connected. For commands; the daemon reacts to ``Connected``.

        Raises:
            BrokerError: the broker refused us or is not trusted (at once), or did not answer within ``timeout_s``.
        """
        deadline = time.monotonic() + timeout_s
        while not self._up.wait(min(0.05, max(0.0, deadline - time.monotonic()))):
            if self._failure.lasting or time.monotonic() >= deadline:
                raise BrokerError(self._failure.code, self._failure.reason)

    def stop(self) -> None:
        """Disconnect (the broker then publishes no will) and end. Never hangs; may be called twice."""
        self._stopping.set()
        self._waker.wake()
        if self._thread.is_alive():
            self._thread.join(STOP_TIMEOUT_S + 1)

    def reconnect(self) -> None:
        """Break the connection and reconnect at once; a ``Connected`` event follows."""
        if self._up.is_set():
            self._at_once.set()
            self._client.drop()

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, qos: int = 1, then: Then | None = None
    ) -> Sent:
        """Send a message now, or not at all without a connection; ``Sent.wait`` reports which.

        If the message was sent, ``then`` is called once, from any thread: with "" when the broker has it, else with the
        reason of the failure. If the connection ends in between, the next connection sends the message again.
        """
        if not self._up.is_set():
            return Sent(None, self._client.refusals, self.trouble)
        return self._client.publish(topic, payload, retain=retain, qos=qos, then=then)

    def subscribe(self, *filters: str, qos: int = 1) -> None:
        """Subscribe to ``filters``; their retained messages follow. Without a connection nothing happens."""
        if filters and self._up.is_set():
            self._client.subscribe(filters, qos)

    def unsubscribe(self, *filters: str) -> None:
        """Unsubscribe from ``filters``. Without a connection nothing happens."""
        if filters and self._up.is_set():
            self._client.unsubscribe(filters)

    def ack(self, incoming: Incoming | Oversized) -> None:
        """Make room for more messages, and acknowledge ``incoming`` if it belongs to this connection."""
        self._client.ack(incoming)
        if self._inflow.dealt_with(incoming):
            self._waker.wake()

    # -- the link's thread

    def _run(self) -> None:
        with self._waker:
            self._keep_connected()

    def _keep_connected(self) -> None:
        generation, logged, twin = 0, float("-inf"), False
        while not self._stopping.is_set():
            generation += 1
            outcome = self._client.serve(generation, self._waker, self._stopping, self._overrun)
            self._up.clear()
            self._failure = failure = self._judged(outcome)
            if self._stopping.is_set():
                break
            at_once = self._choice.learn(outcome.reached) or self._at_once.is_set()
            self._at_once.clear()
            if self._choice.version != self._client.version:
                self._replace_client("is now addressed with another version of MQTT")
            elif not self._options.clean and self._stuck.learn(outcome):
                self._replace_client("ends each connection instead of accepting it")
                self._failure = failure = replace(failure, gave_up=True)
                self._log_given_up(outcome.waits)
            if at_once:
                continue
            first = self._backoff.failures == 0
            if first or outcome.reached is Reached.A_SESSION:
                self._emit(failure)
            every_s = _LOG_TWIN_EVERY_S if failure.twin and twin else _LOG_EVERY_S
            if first or failure.twin > twin or time.monotonic() - logged >= every_s:
                logged, twin = time.monotonic(), failure.twin
                log.warning("%s: %s; trying again", failure.code, failure.reason)
            most_s = _SHORT_S / 2 if outcome.reached is Reached.A_SESSION and not failure.twin else math.inf
            self._stopping.wait(min(most_s, self._backoff.failed()))

    def _overrun(self) -> bool:
        """Return whether to reconnect at once, since the broker may hold messages that it could not deliver."""
        if self._inflow.renewal_due(time.monotonic()):
            self._at_once.set()
            log.warning("messages were dropped; reconnecting, so that the broker sends those that it could not deliver")
            return True
        return False

    def _judged(self, outcome: Outcome) -> Disconnected:
        """Return why a connection ended; only a long enough session resets the delays.

        Our connecting ends the connection of a twin, and its connecting ends ours. As both wait longer and longer, each
        one stays connected longer. MQTT 5 has a reason code for it, but mosquitto does not send it to a client whose
        session it keeps, and 3.1.1 has none.
        """
        failure = outcome.failure
        if outcome.reached is not Reached.A_SESSION:
            return failure
        if self._at_once.is_set():
            return failure
        self._short_sessions += 1
        if outcome.lasted_s >= (2 * self._longest_delay_s if failure.twin or self._suspicious else _SHORT_S):
            self._short_sessions = 0
            self._backoff.succeeded()
        if failure.twin or not self._suspicious:
            return failure
        text = f"{failure.reason} repeatedly, within {_SHORT_S:.0f} s of accepting us; check whether another client "
        return Disconnected(f"{text}connects as {self._options.client_id!r}: each needs its own id", twin=True)

    @property
    def _suspicious(self) -> bool:
        return self._short_sessions >= _SUSPICIOUS

    def _replace_client(self, why: str) -> None:
        """Continue with a new client that has no messages in flight."""
        self._client, given_up = self._new_client(), self._client
        given_up.give_up(why)

    def _log_given_up(self, topic: str) -> None:
        line = self._options.acl_line(topic)
        remedy = f'; the broker\'s ACL may lack the line "{line}"' if line else "; see the broker's log and its ACL"
        text = "%s ended %d connections in a row instead of accepting a message to %s; dropped all waiting messages%s"
        log.warning(text, self._options.broker.url, MOST, topic, remedy)

    def _new_client(self) -> Client:
        return Client(self._options, self._choice.version, self._emit, self._waker, self._inflow)

    def _emit(self, event: Event) -> None:
        if isinstance(event, Connected):
            self._up.set()
        try:
            self._on_event(event)
        except Exception:
            log.exception("a handler of %s failed", type(event).__name__)
