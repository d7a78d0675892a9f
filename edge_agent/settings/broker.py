"""Where an MQTT broker is and who we are there: the keys that every table about a broker has. Connects to nothing.

    url = "mqtts://broker.local:8883"     # mqtt:// without TLS
    ca_file = "/etc/edge-agent/ca.pem"    # what the broker's certificate is checked against; empty: the system's
    cert_file = ""                        # our own certificate, and its key
    key_file = ""
    username = ""
    password_file = ""                    # a password stands in a file of its own

``[mqtt]`` of a device has them, a source of kind mqtt, and the operator's ``host.toml`` (where ``url`` is ``broker``).
"""

from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from edge_agent.errors import ConfigError


class BrokerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The keys. An empty string means: not used."""

    url: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    username: str = ""
    password_file: str = ""

    @property
    def address(self) -> "Address":
        """Where the broker listens; raises ``ConfigError`` for a URL that names no broker."""
        return parse_url(self.url)

    @property
    def ca_key(self) -> str:
        """How whoever wrote these settings knows ``ca_file``."""
        return "ca_file"


BROKER_KEYS = BrokerSettings.__struct_fields__


class Address(NamedTuple):
    """Where a broker listens."""

    host: str
    port: int
    tls: bool


def parse_url(url: str, name: str = "broker URL") -> Address:
    """The address in ``mqtt://host[:1883]`` or ``mqtts://host[:8883]``; a message calls the URL by its ``name``.

    Raises:
        ConfigError: anything else, with what is wrong.
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
