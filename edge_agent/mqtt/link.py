"""The link to the broker: the only file that imports paho.

Does: keep one connection alive (MQTT 5, or 3.1.1 where the broker takes no 5), with back-off and jitter; hand
everything that happens to ``on_event`` as one of ``events``; publish, subscribe, acknowledge.

Does not: remember subscriptions. **On every** ``Connected`` **the owner subscribes again** and publishes what the
broker should hold: a broker may have lost the session, or everything. Nothing is queued while there is no connection
for the same reason.

Invariants:
    * ``on_event`` runs on the link's thread and must only put the event into a queue. An exception in it is logged.
    * The daemon acknowledges a QoS 1 message by ``ack``, when it has dealt with it. Until then the message fills the
      broker's window, which bounds what waits in memory here. For host tools (``clean``) paho acknowledges at once.
    * One thread reads, writes and connects, over paho's calls for an outside loop: whatever paho raises on strange
      bytes ends in a new connection, where paho's own thread would die and leave ``is_connected()`` true.
    * ``start``, ``stop``, ``publish``, ``subscribe``, ``unsubscribe`` and ``ack`` may be called from any thread, but
      ``stop`` not from ``on_event``.
"""

import contextlib
import logging
import random
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

from edge_agent.errors import BrokerError
from edge_agent.mqtt.deferred import deferred
from edge_agent.mqtt.events import Connected, Disconnected, Event, Incoming, SubscribeFailed
from edge_agent.mqtt.options import LinkOptions, parse_url, read_password, tls_context

with deferred("urllib.request"):  # paho looks for proxies with it, if there is PySocks; it would take 1.4 MB
    from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTMessageInfo
    from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode
    from paho.mqtt.subscribeoptions import SubscribeOptions

log = logging.getLogger(__name__)

MAX_PACKET_BYTES = 256 * 1024  # a chunk is 120 KiB; nothing in the protocol is larger
_SESSION_EXPIRY_S = 7 * 24 * 3600
_RECEIVE_MAXIMUM = 32  # unacknowledged QoS 1 messages that the broker may send: 32 chunks are 4 MB here
_MAX_OUTGOING = 256  # unacknowledged messages that we send; more are refused
_CONNECT_TIMEOUT_S = 10.0  # for TCP and TLS, and again for the broker's answer
_FIRST_PAUSE_S = 1.0
_LOG_EVERY_S = 60.0
_STOP_TIMEOUT_S = 3.0
_FORGET_PROTOCOL_AFTER = 3  # connections in a row that the broker closed unanswered

_V5, _V311 = MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311
_REFUSALS = {
    0x80: "gives no reason",
    0x84: "does not speak this version of MQTT",
    0x85: "does not accept the client id",
    0x86: "does not know this user name and password; correct username and password_file",
    0x87: "does not let this client in; correct its credentials or the broker's ACL",
    0x88: "is not available now",
    0x8A: "has banned this client",
    0x8C: "wants another authentication method",
}
_UNSUPPORTED_VERSION, _TAKEN_OVER = 0x84, 0x8E
_PASSING = (0x84, 0x88, 0x89, 0x97, 0x9F)  # may be otherwise at the next attempt


class Sent:
    """A message on its way to the broker."""

    __slots__ = ("_info", "_link")

    def __init__(self, link: "Link", info: MQTTMessageInfo | None) -> None:
        self._link = link
        self._info = info

    @property
    def done(self) -> bool:
        """Whether the broker has it (QoS 0: whether it was written)."""
        return self._info is not None and self._info.is_published()

    def wait(self, timeout_s: float) -> bool:
        """Wait until the broker has acknowledged; False when time is up (it may still arrive).

        Raises:
            BrokerError: the message was not taken: no connection, too many unacknowledged, or refused by the broker.
        """
        if self._info is None:
            raise BrokerError("broker_unreachable", f"not sent: {self._link.trouble}")
        self._info.wait_for_publish(timeout_s)
        reason = self._link.refused_publish(self._info.mid)
        if reason:
            raise BrokerError("broker_refused", f"the broker refused a message: {reason}")
        return self._info.is_published()


class Link:
    """One client's connection to the broker, kept up by a thread of its own until ``stop``.

    Args:
        options: the broker and our identity.
        on_event: gets every event, on the link's thread; must only put it into a queue.
        will: topic and payload that the broker publishes, retained, when we vanish.
        clean: True for host tools: no session, messages are acknowledged on arrival. False for the daemon: the broker
            keeps its session for a week, and the owner acknowledges each message.
        longest_pause_s: between two attempts to connect; short where a person waits, long where a fleet does.

    Attributes:
        max_packet_bytes: the largest packet that the broker takes; 0: it did not say.

    Raises:
        ConfigError: a URL or file that cannot be used.
    """

    def __init__(
        self,
        options: LinkOptions,
        *,
        on_event: Callable[[Event], None],
        will: tuple[str, bytes] | None = None,
        clean: bool = True,
        longest_pause_s: float = 60.0,
    ) -> None:
        self._options = options
        self._host, self._port, tls = parse_url(options.url)
        self._tls = tls_context(options) if tls else None
        self._password = read_password(options.password_file)
        self._on_event = on_event
        self._will = will
        self._clean = clean
        self._longest_pause_s = longest_pause_s
        self._protocol = _V5
        self._client = self._make_client()
        self._generation = 0
        self._answered = False
        self._accepted = False
        self._closed_unanswered = False
        self.max_packet_bytes = 0
        self._up = threading.Event()
        self._stopping = threading.Event()
        self._failure = Disconnected("the link was not started")
        self._filters: dict[int, tuple[str, ...]] = {}
        self._filters_lock = threading.Lock()
        self._refused: dict[int, str] = {}
        self._wake_r: socket.socket | None = None
        self._wake_w: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)

    # -- what the owner calls

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted us and the connection stands."""
        return self._up.is_set()

    @property
    def trouble(self) -> str:
        """One sentence: why there is, or last was, no connection."""
        return self._failure.reason

    def start(self) -> None:
        """Begin to connect, in the background and for ever."""
        self._thread.start()

    def wait_connected(self, timeout_s: float) -> None:
        """Return once connected. For commands; the daemon reacts to ``Connected``.

        Raises:
            BrokerError: refused (at once), or no answer within ``timeout_s``.
        """
        deadline = time.monotonic() + timeout_s
        while not self._up.wait(min(0.05, max(0.0, deadline - time.monotonic()))):
            if self._failure.code == "broker_refused" or time.monotonic() >= deadline:
                raise BrokerError(self._failure.code, self._failure.reason)

    def stop(self) -> None:
        """Say good-bye (the broker then publishes no will) and end. Never hangs; may be called twice."""
        self._stopping.set()
        if self._up.is_set():
            self._client.disconnect()
        self._wake()
        if self._thread.is_alive():
            self._thread.join(_STOP_TIMEOUT_S + 1)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False, qos: int = 1) -> Sent:
        """Send a message now, or not at all when there is no connection; ``Sent.wait`` tells."""
        if not self._up.is_set():
            return Sent(self, None)
        info = self._client.publish(topic, payload, qos=qos, retain=retain)
        if info.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
            log.warning("too many messages wait for the broker; dropped one to %s", topic)
            return Sent(self, None)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            if qos == 0:
                return Sent(self, None)
            # The connection went this instant. paho has kept the message and sends it with the next connection, but
            # would raise in wait_for_publish.
            info.rc = MQTTErrorCode.MQTT_ERR_SUCCESS
        return Sent(self, info)

    def subscribe(self, *filters: str, qos: int = 1) -> None:
        """Ask for ``filters``; retained messages under them follow. Without a connection nothing happens."""
        if not filters or not self._up.is_set():
            return
        with self._filters_lock:
            if self._protocol is _V5:
                _, mid = self._client.subscribe([(name, SubscribeOptions(qos=qos)) for name in filters])
            else:
                _, mid = self._client.subscribe([(name, qos) for name in filters])
            if mid is not None:
                self._filters[mid] = filters

    def unsubscribe(self, *filters: str) -> None:
        """Give ``filters`` up. Without a connection nothing happens."""
        if filters and self._up.is_set():
            self._client.unsubscribe(list(filters))

    def ack(self, incoming: Incoming) -> None:
        """Tell the broker that ``incoming`` was dealt with. Of an earlier connection: nothing happens."""
        generation, mid, qos = incoming.token
        if qos > 0 and generation == self._generation:
            self._client.ack(mid, qos)

    def refused_publish(self, mid: int) -> str:
        """Why the broker refused message ``mid``; empty if it did not."""
        return self._refused.pop(mid, "")

    # -- the link's thread

    def _run(self) -> None:
        self._wake_r, self._wake_w = socket.socketpair()
        with self._wake_r, self._wake_w:
            self._wake_r.setblocking(False)
            self._wake_w.setblocking(False)
            self._keep_connected()

    def _keep_connected(self) -> None:
        failures, unanswered, logged = 0, 0, float("-inf")
        known = False  # whether the broker has accepted us by self._protocol
        while not self._stopping.is_set():
            self._connect_and_serve()
            if self._stopping.is_set():
                break
            if self._accepted:
                known, failures, unanswered = True, 0, 0
            elif self._closed_unanswered:
                unanswered += 1
                # Who speaks no MQTT 5 may close without a word, but so does a broker that is just starting: one
                # that was known to speak our version must do it three times.
                if not known or unanswered >= _FORGET_PROTOCOL_AFTER:
                    known = False
                    self._protocol = _V311 if self._protocol is _V5 else _V5
                    self._client = self._make_client()
                    if unanswered % 2:
                        continue
            if failures == 0 and not self._accepted:
                self._emit(self._failure)
            if failures == 0 or time.monotonic() - logged >= _LOG_EVERY_S:
                logged = time.monotonic()
                log.warning("%s: %s; trying again", self._failure.code, self._failure.reason)
            self._stopping.wait(_pause_s(failures, self._longest_pause_s))
            failures += 1

    def _connect_and_serve(self) -> None:
        """Serve one connection until it ends; leaves ``_accepted``, ``_failure`` and ``_closed_unanswered``."""
        self._generation += 1
        self._answered = self._accepted = self._closed_unanswered = False
        self._refused.clear()
        try:
            self._connect()
        except (OSError, ValueError) as error:
            self._failure = Disconnected(f"no broker at {self._options.url}: {error}")
            return
        self._failure = Disconnected(f"{self._options.url} closed the connection")
        try:
            self._serve()
        except Exception as error:  # paho on bytes that are no MQTT
            log.exception("the connection to %s broke", self._options.url)
            self._failure = Disconnected(f"{self._options.url}: {error!r}")
        self._up.clear()
        self._close()
        self._closed_unanswered = not self._answered
        if self._accepted and not self._stopping.is_set():
            self._emit(self._failure)

    def _connect(self) -> None:
        if self._protocol is _V311:
            self._client.connect(self._host, self._port, self._options.keepalive_s)
            return
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 0 if self._clean else _SESSION_EXPIRY_S
        properties.ReceiveMaximum = _RECEIVE_MAXIMUM
        properties.MaximumPacketSize = MAX_PACKET_BYTES
        self._client.connect(
            self._host, self._port, self._options.keepalive_s, clean_start=self._clean, properties=properties
        )

    def _serve(self) -> None:
        client, give_up = self._client, time.monotonic() + _CONNECT_TIMEOUT_S
        wake = self._wake_r
        if wake is None:
            raise RuntimeError("only the link's thread serves")
        poll = select.poll()
        poll.register(wake, select.POLLIN)
        while (connection := client.socket()) is not None:
            decrypted = isinstance(connection, ssl.SSLSocket) and connection.pending() > 0
            poll.register(connection, select.POLLIN | (select.POLLOUT if client.want_write() else 0))
            ready = dict(poll.poll(0 if decrypted else 1000))
            if wake.fileno() in ready:
                wake.recv(4096)
            if decrypted or ready.get(connection.fileno(), 0) & ~select.POLLOUT:
                client.loop_read()
            if client.want_write():
                client.loop_write()
            client.loop_misc()
            if self._answered and not self._stopping.is_set():
                give_up = time.monotonic() + _STOP_TIMEOUT_S
            elif time.monotonic() > give_up:
                self._failure = Disconnected(f"{self._options.url} accepts connections but does not answer")
                break

    def _close(self) -> None:
        """Close the socket if paho has not, in a way that paho notices."""
        connection = self._client.socket()
        if isinstance(connection, socket.socket):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            with contextlib.suppress(Exception):
                self._client.loop_read()

    def _wake(self, *_: object) -> None:
        if self._wake_w is not None:
            with contextlib.suppress(OSError):  # full: it will wake; closed: it has ended
                self._wake_w.send(b"\0")

    def _emit(self, event: Event) -> None:
        try:
            self._on_event(event)
        except Exception:
            log.exception("a handler of %s failed", type(event).__name__)

    # -- paho's callbacks

    def _make_client(self) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._options.client_id,
            clean_session=None if self._protocol is _V5 else self._clean,
            protocol=self._protocol,
            reconnect_on_failure=False,
            manual_ack=not self._clean,
        )
        client.connect_timeout = _CONNECT_TIMEOUT_S
        client.max_queued_messages_set(_MAX_OUTGOING)
        if self._tls is not None:
            client.tls_set_context(self._tls)
        if self._options.username:
            client.username_pw_set(self._options.username, self._password)
        if self._will is not None:
            client.will_set(*self._will, qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_socket_open = _send_at_once
        # Makes paho call this instead of writing from the thread that publishes.
        client.on_socket_register_write = self._wake
        return client

    def _on_connect(
        self, _client: Client, _data: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._answered = reason.value != _UNSUPPORTED_VERSION
            what = _REFUSALS.get(reason.value, f"says: {reason}")
            code = "broker_unreachable" if reason.value in _PASSING else "broker_refused"
            self._failure = Disconnected(f"the broker at {self._options.url} {what}", code)
            return
        self._answered = self._accepted = True
        self.max_packet_bytes = int(getattr(properties, "MaximumPacketSize", 0))
        self._up.set()
        self._emit(Connected(flags.session_present, "5" if self._protocol is _V5 else "3.1.1"))

    def _on_disconnect(
        self, _client: Client, _data: Any, flags: DisconnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        self._up.clear()
        if not self._accepted:
            return
        if reason.value == _TAKEN_OVER:
            text = f"another client connects as {self._options.client_id!r}; give each device its own device_id"
            self._failure = Disconnected(text)
        elif flags.is_disconnect_packet_from_server:
            self._failure = Disconnected(f"{self._options.url} ended the connection: {reason}")

    def _on_message(self, client: Client, _data: Any, message: MQTTMessage) -> None:
        token = (self._generation, message.mid, message.qos)
        try:
            topic = message.topic
        except UnicodeDecodeError:  # no broker should pass it on, and no topic of ours is like that
            if not self._clean:
                client.ack(message.mid, message.qos)
            return
        self._emit(Incoming(topic, bytes(message.payload), message.retain, token))

    def _on_subscribe(
        self, _client: Client, _data: Any, mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        with self._filters_lock:
            filters = self._filters.pop(mid, ())
        refused = [(name, reason) for name, reason in zip(filters, reasons, strict=False) if reason.is_failure]
        if refused:
            log.warning("the broker refused to subscribe %s: %s", refused[0][0], refused[0][1])
            self._emit(SubscribeFailed(tuple(name for name, _ in refused), str(refused[0][1])))

    def _on_publish(
        self, _client: Client, _data: Any, mid: int, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.is_failure:
            log.warning("the broker refused a message: %s; check its ACL", reason)
            if len(self._refused) >= _MAX_OUTGOING:  # of messages that nobody waits for
                self._refused.pop(next(iter(self._refused)))
            self._refused[mid] = str(reason)


def _pause_s(failures: int, most: float) -> float:
    """Seconds before the next attempt: doubling, with jitter so that a fleet does not return as one."""
    return random.uniform(0.5, 1.0) * min(most, _FIRST_PAUSE_S * 2.0 ** min(failures, 16))  # noqa: S311  # no secret


def _send_at_once(_client: Client, _data: Any, connection: Any) -> None:
    """Without Nagle's wait: an acknowledgement behind a SUBSCRIBE would wait 40 ms for the broker's delayed ACK."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
