"""The device's configuration: one TOML file, read once, frozen. An unknown key is an error.

Each source kind checks its own keys (``edge_agent/sources/<kind>.py``) and may import numpy and a driver. The daemon
reads only the keys that all kinds share (``edge_agent/settings/sharing.py``) and passes on the rest unread.
``edge-agent check-config`` checks every table.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from edge_agent.errors import ConfigError, WireError
from edge_agent.settings.broker import BrokerSettings, parse_url
from edge_agent.settings.sharing import split_common_keys
from edge_agent.settings.source_kinds import kinds
from edge_agent.strict import did_you_mean, read_toml, strict
from edge_agent.wire.topics import EVERYONE, Scope, Topics, check_name

DEFAULT_PATH = Path("/etc/edge-agent/config.toml")
DEFAULT_STATE_DIR = "/var/lib/edge-agent"
Bytes = Annotated[int, msgspec.Meta(ge=0)]


class Mqtt(BrokerSettings, frozen=True, forbid_unknown_fields=True):
    """The broker, this device's credentials there, and the topic namespace."""

    url: str = "mqtt://127.0.0.1:1883"
    namespace: str = "ea/v1"


class Trust(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The signatures that a manifest needs."""

    keys_dir: str = "/etc/edge-agent/trusted-keys"
    min_signatures: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1
    allow_unsigned: bool = False


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Upper limits of a job."""

    max_model_bytes: Annotated[int, msgspec.Meta(ge=1)] = 536_870_912
    worker_memory_bytes: Bytes = 0
    """0: the smaller of this cgroup's limit and MemAvailable, less 64 MiB."""
    stage_timeout_s: Annotated[int, msgspec.Meta(ge=1)] = 1800
    require_confinement: bool = False
    """Refuse to start on a kernel that lacks a confinement layer for workers. New configurations set it."""


class Activation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Actions when a model is activated or rejected."""

    hook: list[str] = []
    """A command; the release's path is appended to it. Only this file can name one."""
    on_rejected: Literal["keep", "float"] = "keep"


class Capture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Retention of captured data."""

    keep_days: Annotated[float, msgspec.Meta(ge=0)] = 0


class Telemetry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Intervals of the device's telemetry; 0 seconds turn a stream off."""

    health_s: Annotated[int, msgspec.Meta(ge=0)] = 60
    """Interval of the machine's health messages, in seconds."""
    model_s: Annotated[int, msgspec.Meta(ge=0)] = 60
    """Interval of the serving statistics, in seconds, for each model that an application serves."""
    home_assistant: bool = False
    """Whether the device announces its entities to Home Assistant."""
    home_assistant_prefix: Annotated[
        str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}(/[A-Za-z0-9_-]{1,64}){0,2}\Z")
    ] = "homeassistant"
    """The "discovery prefix" of Home Assistant's MQTT integration."""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole configuration file."""

    device_id: str
    groups: list[str] = []
    state_dir: str = DEFAULT_STATE_DIR
    mqtt: Mqtt = Mqtt()
    trust: Trust = Trust()
    limits: Limits = Limits()
    activation: Activation = Activation()
    capture: Capture = Capture()
    telemetry: Telemetry = Telemetry()
    sources: dict[str, dict[str, Any]] = {}

    @property
    def topics(self) -> Topics:
        """The topics of this device's namespace."""
        return Topics(self.mqtt.namespace)

    @property
    def scopes(self) -> list[Scope]:
        """The scopes of this device's wants and commands: the device and its groups; every device is in ``all``."""
        groups = sorted({EVERYONE, *self.groups})
        return [Scope("d", self.device_id), *(Scope("g", group) for group in groups)]


_TABLES: dict[str, type[msgspec.Struct]] = {
    "mqtt": Mqtt, "trust": Trust, "limits": Limits, "activation": Activation, "capture": Capture,
    "telemetry": Telemetry,
}  # fmt: skip


def parse_config(table: dict[str, Any], where: str = "config") -> Config:
    """The configuration in a parsed TOML document; raises ``ConfigError``."""
    for name, kind in _TABLES.items():
        if isinstance(table.get(name), dict):
            strict(table[name], kind, f"{where} [{name}]")
    for key in table:
        if key not in Config.__struct_fields__:
            raise ConfigError("usage", f"{where}: unknown key {key!r}{did_you_mean(key, Config.__struct_fields__)}")
    if "device_id" not in table:
        raise ConfigError("usage", f"{where}: device_id is missing; give this device a name such as 'pi-01'")
    config = strict(table, Config, where)
    try:
        check_name(config.device_id, "device_id")
        for group in config.groups:
            check_name(group, "group")
        _ = config.topics
    except WireError as error:
        raise ConfigError("usage", f"{where}: {error.message}") from None
    try:
        parse_url(config.mqtt.url, "url")
    except ConfigError as error:
        raise ConfigError("usage", f"{where} [mqtt]: {error.message}") from None
    for name, source in config.sources.items():
        if not isinstance(source.get("kind"), str):
            raise ConfigError("usage", f"{where} [sources.{name}]: kind is missing{did_you_mean('', kinds())}")
        try:
            split_common_keys(name, source)
        except ConfigError as error:
            raise ConfigError("usage", f"{where} {error.message}") from None
    return config


def read_config(path: Path = DEFAULT_PATH) -> Config:
    """The configuration in the file at ``path``; raises ``ConfigError`` that names the file and the key."""
    try:
        path.stat()
    except FileNotFoundError:
        if path == DEFAULT_PATH:
            text = f"there is no {path} yet; give --config FILE, or run edge-agent install to write one"
            raise ConfigError("usage", text) from None
    except OSError:
        pass  # reading the file reports the reason
    return parse_config(read_toml(path), str(path))
