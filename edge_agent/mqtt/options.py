"""Where the broker is and who we are: an URL, and files with keys and a password. Connects to nothing."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from edge_agent.advice.permission import not_permitted
from edge_agent.errors import ConfigError


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """Where the broker is and who we are. Empty strings mean: not used."""

    url: str
    client_id: str
    username: str = ""
    password_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    keepalive_s: int = 30


def parse_url(url: str) -> tuple[str, int, bool]:
    """Host, port and whether TLS is used, from ``mqtt://host[:1883]`` or ``mqtts://host[:8883]``.

    Raises:
        ConfigError: anything else, with what is wrong.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError("usage", f"broker URL {url!r}: {error}") from None
    if parts.scheme not in ("mqtt", "mqtts") or not host or parts.path.strip("/") or parts.query or parts.fragment:
        raise ConfigError("usage", f"broker URL {url!r} must be mqtt://HOST[:PORT] or mqtts://HOST[:PORT]")
    if parts.username is not None or parts.password is not None:
        raise ConfigError("usage", "a broker URL holds no credentials; use username and password_file")
    tls = parts.scheme == "mqtts"
    return host, port or (8883 if tls else 1883), tls


def tls_context(options: LinkOptions) -> ssl.SSLContext:
    """How to check the broker, and our certificate if there is one; raises ``ConfigError`` for files of no use."""
    for key in ("ca_file", "cert_file", "key_file"):
        if path := getattr(options, key):
            _read(key, path)
    try:
        context = ssl.create_default_context(cafile=options.ca_file or None)
        if options.cert_file:
            context.load_cert_chain(options.cert_file, options.key_file or None)
    except (OSError, ssl.SSLError) as error:
        names = ", ".join(filter(None, (options.ca_file, options.cert_file, options.key_file)))
        raise ConfigError("usage", f"TLS files ({names}): {error}") from None
    return context


def read_password(path: str) -> str | None:
    """The password in a file, None without one; raises ``ConfigError`` if it cannot be read."""
    if not path:
        return None
    try:
        return _read("password_file", path).decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ConfigError("usage", f"password_file {path}: {error}") from None


def _read(key: str, path: str) -> bytes:
    """The bytes of the file that ``key`` names; raises ``ConfigError`` that names both."""
    try:
        return Path(path).read_bytes()
    except PermissionError:
        raise ConfigError("usage", f"{key} {not_permitted(path)}") from None
    except OSError as error:
        raise ConfigError("usage", f"{key} {path}: {error.strerror}") from None
