"""Rules for the listening address: loopback needs nothing, others need a login, and TLS or a proxy. Pure."""

import ipaddress
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from edge_agent.errors import ConfigError

_LOOPBACK_NAMES = ("localhost",)
_HOW = "make a file of people with host-tools dashboard-user NAME FILE and give it as --users FILE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """Who can reach the page, and by which names.

    Attributes:
        names: host names of the page, besides addresses.
        proxy: address of the proxy in front of it; empty: there is none.
        secure: whether browsers use TLS, to this server or to the proxy.
    """

    names: frozenset[str]
    proxy: str = ""
    secure: bool = False

    def is_proxy(self, address: str) -> bool:
        """Whether this is the proxy's address, in any notation."""
        found, proxy = _address(address), _address(self.proxy)
        mapped = getattr(found, "ipv4_mapped", None)
        return proxy is not None and proxy in (found, mapped)

    def knows(self, host: str) -> bool:
        """Whether a ``Host`` header names this server.

        Any address does: a name that an attacker points here (DNS rebinding) is not an address. ``*.lan`` among the
        names, as in a certificate, stands for one label.
        """
        name = bare(host)
        return bool({name, f"*.{name.partition('.')[2]}"} & self.names) or _address(name) is not None


def expose(
    host: str, *, login: bool, tls_cert: Path | None, tls_key: Path | None, proxy: str, names: Iterable[str]
) -> Exposure:
    """The exposure of a page that listens on ``host``.

    Raises:
        ConfigError: ``usage``: its traffic could be read in transit, or anybody could open it.
    """
    if (tls_cert is None) != (tls_key is None):
        raise ConfigError("usage", "--tls-cert and --tls-key belong together; give both")
    if proxy and _address(proxy) is None:
        raise ConfigError("usage", f"--trusted-proxy {proxy[:80]!r} must be the proxy's address, as 127.0.0.1")
    if proxy and tls_cert is not None:
        raise ConfigError("usage", "--trusted-proxy is for a proxy that has the certificate; leave --tls-cert out")
    if proxy and not login:
        raise ConfigError("usage", f"anybody who reaches the proxy could control the devices; {_HOW}")
    secure = bool(tls_cert or proxy)
    if not is_loopback(host):
        if not login:
            raise ConfigError("usage", f"--listen {host} can be reached from other machines; {_HOW}")
        if not secure:
            text = "passwords would be sent in the clear; give --tls-cert and --tls-key, or --trusted-proxy ADDRESS"
            raise ConfigError("usage", f"--listen {host} can be reached from other machines, and {text}")
    own = {*_LOOPBACK_NAMES, *filter(None, map(bare, names)), *(certified(tls_cert) if tls_cert else ())}
    if not is_loopback(host):
        own |= {host, socket.gethostname(), socket.getfqdn()}
    return Exposure(names=frozenset(name.lower().rstrip(".") for name in own), proxy=proxy, secure=secure)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``."""
    address = _address(host)
    return address.is_loopback if address is not None else host.lower() in _LOOPBACK_NAMES


def bare(host: str) -> str:
    """The name in a ``Host`` header, without its port."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".")


def check_certificate(cert: Path, key: Path) -> None:
    """Raise ``ConfigError`` (usage) unless a server can use the two."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=lambda: "")
    except (ssl.SSLError, OSError, ValueError):
        text = f"{key} is no unlocked private key in PEM of the certificate in {cert}; give the one that belongs to it"
        raise ConfigError("usage", text) from None


def certified(path: Path) -> list[str]:
    """The names in a certificate; raises ``ConfigError`` (usage) if the file is no certificate."""
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise ConfigError("usage", f"{path}: {error.strerror}; give a certificate in PEM") from None
    except ValueError:
        raise ConfigError("usage", f"{path} is no certificate in PEM; give one") from None
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [str(name) for name in found.get_values_for_type(x509.DNSName)]


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
