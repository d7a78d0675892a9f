"""The link to the broker: one connection, made again whenever it ends, by a thread of its own.

Does: connect (MQTT 5, or 3.1.1 where the broker takes no 5), with back-off and jitter; hand everything that happens to
``on_event`` as one of ``events``; publish, subscribe, acknowledge.

Does not: remember subscriptions. **On every** ``Connected`` **the owner subscribes again** and publishes what the
broker should hold: a broker may have lost the session, or everything. Nothing is queued while there is no connection
for the same reason.

Invariants:
    * ``on_event`` runs on the link's thread and must only put the event into a queue. An exception in it is logged.
    * The daemon acknowledges a message by ``ack``, when it has dealt with it, whatever its QoS. What waits for that in
      memory is bounded (``inflow``), and a message of QoS 1 fills the broker's window. For host tools (``clean``) paho
      acknowledges at once.
    * A client that ends another one's connection whenever it connects itself is not fought: the delays grow.
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
"""A session that ends sooner is a failure, too; after one, the next attempt waits half as long at most."""
_SUSPICIOUS = 5
"""So many of those in a row, and there may be a twin."""


class Link:
    """One client's connection to the broker, kept up by a thread of its own until ``stop``.

    Args:
        broker: where it is, and our login there.
        client_id: who we are.
        on_event: gets every event, on the link's thread; must only put it into a queue.
        will: topic and payload that the broker publishes, retained, when we vanish.
        clean: True for host tools: begins without a session, messages are acknowledged on arrival. False for the
            daemon: the broker keeps its session for a week, and the owner acknowledges each message.
        session_s: how long the broker keeps the session of a clean client while it is away, with MQTT 5.
        longest_delay_s: between two attempts to connect; short where a person waits, long where a fleet does.
        inflow: bounds what waits for the owner, who then must ``ack`` every message; by default nothing does.
        acl_line: topic → the line of a broker's ACL that lets us write there, for the log; by default none is known.

    Raises:
        ConfigError: a URL or file that cannot be used.
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
        """Whether the broker has accepted us and the connection stands."""
        return self._up.is_set()

    @property
    def version(self) -> Version:
        """Of MQTT, as of the newest attempt to connect."""
        return self._client.version

    @property
    def resumes(self) -> bool:
        """Whether the broker was asked to keep our session for a next connection: it was, and with MQTT 5 it may."""
        return self.version == "5" and self._options.session_s > 0

    @property
    def trouble(self) -> str:
        """One sentence: why there is, or last was, no connection."""
        return self._failure.reason

    @property
    def dropped(self) -> int:
        """Messages that came faster than the owner dealt with them, and were dropped."""
        return self._inflow.dropped

    @property
    def max_packet_bytes(self) -> int:
        """The largest packet that the broker takes; 0: it did not say."""
        return self._client.max_packet_bytes

    def start(self) -> None:
        """Begin to connect, in the background and for ever."""
        self._failure = Disconnected(f"{self._options.broker.url} has not answered yet")
        self._thread.start()

    def wait_connected(self, timeout_s: float) -> None:
        """Return once connected. For commands; the daemon reacts to ``Connected``.

        Raises:
            BrokerError: refused or not to be trusted (at once), or no answer within ``timeout_s``.
        """
        deadline = time.monotonic() + timeout_s
        while not self._up.wait(min(0.05, max(0.0, deadline - time.monotonic()))):
            if self._failure.lasting or time.monotonic() >= deadline:
                raise BrokerError(self._failure.code, self._failure.reason)

    def stop(self) -> None:
        """Say good-bye (the broker then publishes no will) and end. Never hangs; may be called twice."""
        self._stopping.set()
        self._waker.wake()
        if self._thread.is_alive():
            self._thread.join(STOP_TIMEOUT_S + 1)

    def reconnect(self) -> None:
        """Break the connection, and make it again at once; a ``Connected`` tells when that is done."""
        if self._up.is_set():
            self._at_once.set()
            self._client.drop()

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, qos: int = 1, then: Then | None = None
    ) -> Sent:
        """Send a message now, or not at all when there is no connection; ``Sent.wait`` tells.

        ``then`` is called once, from any thread, if the message was taken: with "" when the broker has it, else with
        why it has not. A connection that ends in between decides nothing: the message goes out with the next one.
        """
        if not self._up.is_set():
            return Sent(None, self._client.refusals, self.trouble)
        return self._client.publish(topic, payload, retain=retain, qos=qos, then=then)

    def subscribe(self, *filters: str, qos: int = 1) -> None:
        """Ask for ``filters``; retained messages under them follow. Without a connection nothing happens."""
        if filters and self._up.is_set():
            self._client.subscribe(filters, qos)

    def unsubscribe(self, *filters: str) -> None:
        """Give ``filters`` up. Without a connection nothing happens."""
        if filters and self._up.is_set():
            self._client.unsubscribe(filters)

    def ack(self, incoming: Incoming | Oversized) -> None:
        """Make room for more, and tell the broker that ``incoming`` was dealt with if it is of this connection."""
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
                self._replace_client("is spoken to by another version of MQTT from now on")
            elif not self._options.clean and self._stuck.learn(outcome):
                self._replace_client("ends each connection rather than take it")
                self._failure = failure = replace(failure, gave_up=True)
                self._tell_given_up(outcome.waits)
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
        """Whether the connection should be made again at once, as the broker may hold what it could not deliver."""
        if self._inflow.renewal_due(time.monotonic()):
            self._at_once.set()
            log.warning("messages were dropped; connecting again, so that the broker sends what it could not deliver")
            return True
        return False

    def _judged(self, outcome: Outcome) -> Disconnected:
        """Why a connection ended; a session that was no success leaves the delays as long as they have become.

        A twin is ended by our connecting, and we by its: as both wait longer and longer, each has a longer time. MQTT 5
        has a word for it, which mosquitto does not say to a client whose session it keeps, and 3.1.1 has none.
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
        text = (
            f"{failure.reason} again and again, within {_SHORT_S:.0f} s of letting us in; see whether another client "
        )
        return Disconnected(f"{text}connects as {self._options.client_id!r}: each needs an id of its own", twin=True)

    @property
    def _suspicious(self) -> bool:
        return self._short_sessions >= _SUSPICIOUS

    def _replace_client(self, why: str) -> None:
        """Go on with a client for which nothing waits."""
        self._client, given_up = self._new_client(), self._client
        given_up.give_up(why)

    def _tell_given_up(self, topic: str) -> None:
        line = self._options.acl_line(topic)
        remedy = f'; the broker\'s ACL may lack the line "{line}"' if line else "; see the broker's log and its ACL"
        text = "%s ended %d connections in a row rather than take a message to %s; what waited is dropped%s"
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
