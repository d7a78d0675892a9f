"""Where a broker is, in whatever table it stands: one set of keys, one idea of a URL."""

import msgspec
import pytest

from edge_agent.errors import ConfigError
from edge_agent.execution.launcher import source_table
from edge_agent.settings.broker import BROKER_KEYS, BrokerSettings
from edge_agent.settings.device import Mqtt, parse_config
from edge_agent.sources.mqtt import Options
from host_tools.broker.settings import Settings


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mqtt://h", ("h", 1883, False)),
        ("mqtts://h/", ("h", 8883, True)),
        ("mqtt://[::1]:99", ("::1", 99, False)),
    ],
)
def test_a_url_says_where_the_broker_listens(url: str, expected: tuple[str, int, bool]) -> None:
    assert BrokerSettings(url=url).address == expected


@pytest.mark.parametrize("url", ["h:1883", "tcp://h", "mqtt://", "mqtt://h:x", "mqtt://u:p@h", "mqtt://h/t", ""])
def test_what_is_no_url_of_a_broker_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        _ = BrokerSettings(url=url).address


@pytest.mark.parametrize("url", ["mqtt://h:x", "mqtt://u:p@h", "mqtt://h/topic"])
def test_a_configuration_is_refused_for_a_url_that_the_daemon_could_not_use(url: str) -> None:
    with pytest.raises(ConfigError, match=r"c.toml \[mqtt\]: "):
        parse_config({"device_id": "pi", "mqtt": {"url": url}}, "c.toml")


def test_every_table_about_a_broker_has_the_same_keys() -> None:
    for kind in (Mqtt, Options, Settings):
        keys = {field.encode_name for field in msgspec.structs.fields(kind)}
        assert set(BROKER_KEYS) - keys <= {"url"}
    assert "broker" in {field.encode_name for field in msgspec.structs.fields(Settings)}


def test_a_source_without_a_broker_gets_every_key_of_the_devices_own() -> None:
    mqtt = {key: f"/{key}" for key in BROKER_KEYS} | {"url": "mqtt://h"}
    config = parse_config({"device_id": "pi", "mqtt": mqtt, "sources": {"own": {"kind": "mqtt"}}})

    assert source_table(config, "own") == {"kind": "mqtt", **mqtt}
