"""The host's connection to the broker: ``~/.config/edge-agent/host.toml``, overridden by the command line.

    broker = "mqtts://broker.local:8883"
    ca_file = "/home/me/ca.pem"
    username = "operator"
    password_file = "/home/me/.broker-password"
    sign = "/home/me/operator.key"

This module makes no connection. An unknown key is an error that names the nearest known one.
"""

import os
from pathlib import Path
from typing import Annotated, Any

import msgspec

from edge_agent.errors import ConfigError, WireError
from edge_agent.settings.broker import BrokerSettings
from edge_agent.strict import read_toml, strict
from edge_agent.wire.topics import Topics

GIB = 1 << 30
_PATHS = ("ca_file", "cert_file", "key_file", "password_file", "sign")
NonNegative = Annotated[float, msgspec.Meta(ge=0)]


class Settings(BrokerSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Address of the broker, the client's identity there, and limits. Paths may begin with ``~``."""

    url: str = msgspec.field(default="", name="broker")
    namespace: str = "ea/v1"
    sign: str = ""
    """The key that signs manifests and commands; empty: they are sent unsigned."""
    max_broker_bytes: Annotated[int, msgspec.Meta(ge=1)] = GIB
    """Limit of bytes at the broker; an upload that would exceed it is refused."""
    broker_timeout_s: NonNegative = 60.0
    """How long the broker may be away before a command gives up."""

    @property
    def topics(self) -> Topics:
        """The topics of the namespace."""
        return Topics(self.namespace)

    @property
    def ca_key(self) -> str:
        """The names of this setting on the command line and in the operator's file."""
        return f"--ca-file PEM (or ca_file in {settings_path()})"


def settings_path() -> Path:
    """Path of the operator's defaults (``$XDG_CONFIG_HOME`` is honoured)."""
    base = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser() / "edge-agent" / "host.toml"


def load_settings(overrides: dict[str, Any], path: Path | None = None) -> Settings:
    """The file's settings with every override that is not None.

    Raises:
        ConfigError: ``usage``: an unknown key, a wrong value, a missing file, or no broker.
    """
    path = path or settings_path()
    table = _read(path) | {key: value for key, value in overrides.items() if value is not None}
    for key in _PATHS:
        if table.get(key):
            table[key] = _existing(key, str(table[key]))
    settings = strict(table, Settings, str(path))
    if not settings.url:
        raise ConfigError("usage", f"no broker is set: give --broker mqtt://HOST, or broker = … in {path}")
    try:
        _ = settings.topics
    except WireError as error:
        raise ConfigError("usage", error.message) from None
    return settings


def given_settings(settings: Settings, path: Path | None = None) -> dict[str, Any]:
    """The ``settings`` that differ from the operator's file and the defaults, by the file's keys."""
    path = path or settings_path()
    table = _read(path)
    for key in _PATHS:
        if table.get(key):
            table[key] = str(Path(str(table[key])).expanduser())
    before = strict(table, Settings, str(path))
    return {
        field.encode_name: value
        for field in msgspec.structs.fields(Settings)
        if (value := getattr(settings, field.name)) != getattr(before, field.name)
    }


def _read(path: Path) -> dict[str, Any]:
    return read_toml(path) if path.exists() else {}


def _existing(key: str, value: str) -> str:
    path = Path(value).expanduser()
    if not path.is_file():
        raise ConfigError("usage", f"{key}: no such file: {path}")
    return str(path)
