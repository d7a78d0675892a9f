"""Address and credentials of an MQTT broker: the keys of every table about a broker. Connects to nothing.

    url = "mqtts://broker.local:8883"     # mqtt:// without TLS
    ca_file = "/etc/edge-agent/ca.pem"    # the CA of the broker's certificate; empty: the system's CAs
    cert_file = ""                        # our own certificate, and its key
    key_file = ""
    username = ""
    password_file = ""                    # a file that holds only the password

A device's ``[mqtt]``, an mqtt source and the operator's ``host.toml`` have them (there, ``url`` is called ``broker``).
"""

from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from edge_agent.errors import ConfigError


class BrokerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of a broker table. An empty string means: not used."""

    url: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    username: str = ""
    password_file: str = ""

    @property
    def address(self) -> "Address":
        """The broker's address; raises ``ConfigError`` for an invalid URL."""
        return parse_url(self.url)

    @property
    def ca_key(self) -> str:
        """The key or option that sets ``ca_file``, for messages."""
        return "ca_file"


BROKER_KEYS = BrokerSettings.__struct_fields__


class Address(NamedTuple):
    """Address of a broker."""

    host: str
    port: int
    tls: bool


def parse_url(url: str, name: str = "broker URL") -> Address:
    """The address in ``mqtt://host[:1883]`` or ``mqtts://host[:8883]``; ``name`` describes the URL in messages.

    Raises:
        ConfigError: the URL has another form.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(
            "usage", f"{name} {url!r} must be mqtt://HOST[:PORT] or mqtts://HOST[:PORT]: {error}"
        ) from None
    if parts.scheme not in ("mqtt", "mqtts") or not host or parts.path.strip("/") or parts.query or parts.fragment:
        raise ConfigError("usage", f"{name} {url!r} must be mqtt://HOST[:PORT] or mqtts://HOST[:PORT]")
    if parts.username is not None or parts.password is not None:
        raise ConfigError("usage", "a broker URL holds no credentials; use username and password_file")
    tls = parts.scheme == "mqtts"
    return Address(host, port or (8883 if tls else 1883), tls)
