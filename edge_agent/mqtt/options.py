"""The options of an MQTT client, with the contents of the files that they name. Reads files, connects to nothing."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from edge_agent.advice.permission import not_permitted
from edge_agent.errors import ConfigError
from edge_agent.settings.broker import BrokerSettings
from edge_agent.strict import why


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """The options of a client, for any version of MQTT.

    Attributes:
        broker: the broker's address.
        client_id: our client id.
        will: topic and payload that the broker publishes, retained, if the connection breaks.
        clean: whether we begin without a session, and messages are acknowledged on arrival.
        session_s: how long the broker keeps our session while we are disconnected, with MQTT 5; with 3.1.1: for ever,
            unless clean.
        tls: context that verifies the broker, with our certificate if there is one; None: no TLS.
        password: None: there is none.
        acl_line: topic → the line of a broker's ACL that lets us write there; empty: unknown.
    """

    broker: BrokerSettings
    client_id: str
    will: tuple[str, bytes] | None
    clean: bool
    session_s: int
    tls: ssl.SSLContext | None
    password: str | None
    acl_line: Callable[[str], str]

    @classmethod
    def read(
        cls,
        broker: BrokerSettings,
        client_id: str,
        *,
        will: tuple[str, bytes] | None,
        clean: bool,
        session_s: int,
        acl_line: Callable[[str], str] = lambda _topic: "",
    ) -> Self:
        """Read the files and return the options; raise ``ConfigError`` for an unusable URL or file."""
        tls = _tls_context(broker) if broker.address.tls else None
        return cls(broker, client_id, will, clean, session_s, tls, _password(broker.password_file), acl_line)


def _tls_context(broker: BrokerSettings) -> ssl.SSLContext:
    for key in ("ca_file", "cert_file", "key_file"):
        if path := getattr(broker, key):
            _read(key, path)
    try:
        context = ssl.create_default_context(cafile=broker.ca_file or None)
    except (OSError, ssl.SSLError):
        text = f"ca_file {broker.ca_file} holds no certificate in PEM"
        raise ConfigError("usage", f"{text}; give the certificate of the CA that signed the broker's") from None
    # Python 3.13 is strict by default: it refuses a CA without keyUsage, as `openssl req -x509` makes it. A device
    # must still reach its broker after a system upgrade. Chain, name and dates are still verified.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if broker.cert_file:
        try:
            context.load_cert_chain(broker.cert_file, broker.key_file or None)
        except (OSError, ssl.SSLError):
            key = f"key_file {broker.key_file}" if broker.key_file else "the key in it"
            text = f"cert_file {broker.cert_file} and {key} are no certificate and its key in PEM"
            raise ConfigError("usage", f"{text}; give a certificate and its own key") from None
    return context


def _password(path: str) -> str | None:
    if not path:
        return None
    try:
        return _read("password_file", path).decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ConfigError("usage", f"password_file {path}: {why(error)}") from None


def _read(key: str, path: str) -> bytes:
    """Return the bytes of the file that ``key`` names; raise ``ConfigError`` with both names."""
    try:
        return Path(path).read_bytes()
    except PermissionError:
        raise ConfigError("usage", f"{key} {not_permitted(path)}") from None
    except OSError as error:
        raise ConfigError("usage", f"{key} {path}: {error.strerror}") from None
