"""The outcome of one connection to the broker, as a value. Pure."""

from dataclasses import dataclass
from enum import Enum, auto

from edge_agent.mqtt.events import Disconnected
from edge_agent.settings.broker import BrokerSettings
from edge_agent.strict import why

UNSUPPORTED_VERSION = 0x84
NOT_AUTHORIZED = 0x87
TAKEN_OVER = 0x8E
_MAY_PASS = (UNSUPPORTED_VERSION, 0x88, 0x89, 0x97, 0x9F)
"""Reasons that may have passed by the next attempt."""
_REFUSALS = {
    0x80: "gives no reason",
    UNSUPPORTED_VERSION: "does not speak this version of MQTT",
    0x85: "does not accept the client id",
    0x86: "does not know this user name and password; correct username and password_file",
    NOT_AUTHORIZED: "does not admit this client; correct its credentials or the broker's ACL",
    0x88: "is not available at the moment",
    0x8A: "has banned this client",
    0x8C: "requires another authentication method",
}
_NO_TLS_THERE = ("UNEXPECTED_EOF_WHILE_READING", "WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG")
_OF_ANOTHER_NAME = (62, 64)  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
_OUT_OF_ITS_TIME = (9, 10)  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED


class Reached(Enum):
    """How far a connection got."""

    NOTHING = auto()
    """No broker listens there, or the TLS handshake failed."""
    A_LISTENER = auto()
    """Something accepted the connection, but did not answer in this version of MQTT."""
    THE_BROKER = auto()
    """The broker answered, and refused us."""
    A_SESSION = auto()
    """The broker accepted us; the connection ended later."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one connection ended.

    Attributes:
        reached: how far it got.
        failure: why it ended, as the event for the owner.
        lasted_s: duration of the session.
        acknowledged: the broker acknowledged a message of QoS 1.
        waits: topic of the message that the next connection will send first; empty: none waits.
    """

    reached: Reached
    failure: Disconnected
    lasted_s: float = 0.0
    acknowledged: bool = False
    waits: str = ""


def refusal(url: str, reason: int, words: str) -> Disconnected:
    """Return the reason why the broker refused us.

    Args:
        url: the broker's URL.
        reason: the reason code of its answer.
        words: the name of that code.
    """
    what = _REFUSALS.get(reason, f"says: {words}")
    code = "broker_unreachable" if reason in _MAY_PASS else "broker_refused"
    return Disconnected(f"the broker at {url} {what}", code)


def not_connected(broker: BrokerSettings, error: OSError | ValueError) -> Disconnected:
    """Why there is no connection.

    Args:
        broker: as it was to be reached.
        error: the failure of TCP or of the TLS handshake.
    """
    # A broker without TLS ends the connection at the first bytes of a handshake; a closed port refuses it.
    spoke_no_tls = broker.address.tls and isinstance(error, ConnectionResetError | BrokenPipeError)
    if spoke_no_tls or getattr(error, "reason", None) in _NO_TLS_THERE:
        return Disconnected(f"no TLS at {broker.url}: {_words(error)}; use mqtt:// if that port has no TLS")
    return Disconnected(f"no broker at {broker.url}: {_words(error)}")


def _words(error: BaseException) -> str:
    """OpenSSL's reason without its numbers, or the system's words."""
    reason = getattr(error, "reason", None)
    return reason.replace("_", " ").lower() if isinstance(reason, str) else why(error)


def unanswered(broker: BrokerSettings) -> Disconnected:
    """Why a connection ended before the broker said anything on it."""
    hint = "" if broker.address.tls else "; use mqtts:// if that port wants TLS"
    return Disconnected(f"{broker.url} closed the connection without an answer{hint}")


def untrusted(broker: BrokerSettings, verify_code: int, words: str) -> Disconnected:
    """Return why the broker's certificate is not trusted, and what to do.

    Args:
        broker: the settings of the connection.
        verify_code: OpenSSL's number of the fault.
        words: OpenSSL's description of the fault.
    """
    remedy = f"give {broker.ca_key}: the certificate of the CA that signed it"
    if verify_code in _OF_ANOTHER_NAME:
        remedy = "put a name that is in it into the broker's URL"
    elif verify_code in _OUT_OF_ITS_TIME:
        remedy = "correct the clock of this machine, or renew the certificate"
    return Disconnected(
        f"the certificate of {broker.url} is not trusted ({words.rstrip('.')}); {remedy}", "broker_untrusted"
    )
