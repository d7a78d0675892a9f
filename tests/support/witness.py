"""Hears all that is said on a broker, as it was said: MQTT 5 tells a subscriber QoS and retain flag as sent."""

import secrets
import threading
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge_agent.wire.topics import Scope, Topics
from support.protocol import Heard


class Witness:
    """Subscribed to everything from entering to leaving; then ``heard`` is all of it. ``login``: user and password."""

    def __init__(self, url: str, namespace: str, login: tuple[str, str] = ("", "")) -> None:
        where = urlsplit(url)
        self.heard: list[Heard] = []
        self._last = Topics(namespace).command(Scope("g", "witness"), secrets.token_hex(8))
        self._subscribed, self._done = threading.Event(), threading.Event()
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "witness", protocol=mqtt.MQTTv5)
        self._client.on_connect = self._connected
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._message
        if login[0]:
            self._client.username_pw_set(*login)
        self._client.connect(where.hostname or "", where.port or 1883)

    def _connected(self, client: mqtt.Client, *_: Any) -> None:
        client.subscribe("#", options=SubscribeOptions(qos=2, retainAsPublished=True))

    def _message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        if message.topic == self._last:
            self._done.set()
        else:
            self.heard.append(Heard(message.topic, bytes(message.payload), message.qos, message.retain))

    def __enter__(self) -> Self:
        self._client.loop_start()
        assert self._subscribed.wait(60)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What others have sent before comes before what is sent here now."""
        self._client.publish(self._last, b"", qos=1)
        self._done.wait(60)
        self._client.disconnect()
        self._client.loop_stop()
        assert error or self._done.is_set(), "the broker answers no more"
