"""The device's configuration: what is wrong with it is named to the key."""

from pathlib import Path

import pytest

from edge_agent.errors import ConfigError
from edge_agent.settings.device import parse_config, read_config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "device_id is missing"),
        ('device_id = "pi"\ngroup = []', "unknown key 'group'; did you mean 'groups'?"),
        ('device_id = "pi"\n[mqtt]\nulr = "x"', r"\[mqtt\]: unknown key 'ulr'; did you mean 'url'?"),
        ('device_id = "Pi 1"', r"device_id 'Pi 1' must match"),
        ('device_id = "pi"\n[mqtt]\nurl = "localhost"', "must be mqtt://"),
        ('device_id = "pi"\n[trust]\nmin_signatures = 0', "min_signatures"),
        (
            'device_id = "pi"\n[sources.imu]\nport = "x"',
            r"\[sources.imu\]: kind is missing; known: audio, camera, iio, mqtt, replay, serial$",
        ),
        ('device_id = "pi"\n[limits]\nstage_timeout_s = "long"', "stage_timeout_s"),
        ("device_id =", "config.toml"),
    ],
)
def test_a_wrong_configuration_is_named_to_the_key(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)

    with pytest.raises(ConfigError, match=message):
        read_config(path)


def test_defaults_are_those_of_the_service() -> None:
    config = parse_config({"device_id": "pi-01"})

    assert config.state_dir == "/var/lib/edge-agent"
    assert config.trust.keys_dir == "/etc/edge-agent/trusted-keys"
    assert not config.trust.allow_unsigned
