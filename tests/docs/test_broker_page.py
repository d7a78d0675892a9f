"""``docs/broker.md`` is followed as it stands: its commands make the files, its configuration starts a mosquitto."""

import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.brokers import MosquittoBroker

from edge_agent.errors import BrokerError
from edge_agent.mqtt import Link
from edge_agent.settings.broker import BrokerSettings
from edge_agent.settings.device import parse_config
from edge_agent.strict import strict
from host_tools.broker.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "broker.md").read_text(encoding="utf-8")

pytestmark = [
    pytest.mark.mosquitto,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl: sudo apt install openssl"),
]


def certificates() -> str:
    """The commands that make the certificates."""
    found = re.search(r"## Certificates.*?```sh\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found[1]


def file(path: str) -> str:
    """What the page writes into a file."""
    found = re.search(rf"```\w*\n# {re.escape(path)}\n(.*?)```", PAGE, re.DOTALL)
    assert found, path
    return found[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the page's certificates, for this machine, and with its accounts."""
    script = certificates().replace("DNS:broker.local", "IP:127.0.0.1")
    subprocess.run(["/bin/bash", "-ec", script], cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "passwords").touch(0o600)
    for user in ("operator", "pi-01"):
        command = [
            shutil.which("mosquitto_passwd") or "mosquitto_passwd",
            "-b",
            str(tmp_path / "passwords"),
            user,
            f"{user}'s",
        ]
        subprocess.run(command, check=True, capture_output=True)
        (tmp_path / user).write_text(f"{user}'s\n", encoding="utf-8")
    (tmp_path / "acl").write_text(file("/etc/mosquitto/acl"), encoding="utf-8")
    (tmp_path / "acl").chmod(0o600)
    return tmp_path


@pytest.fixture
def broker(folder: Path) -> Iterator[MosquittoBroker]:
    """The page's mosquitto, on a port and with files of the test's own."""
    configuration = file("/etc/mosquitto/conf.d/edge-agent.conf").replace("/etc/mosquitto/certs", "/etc/mosquitto")
    lines = configuration.replace("/etc/mosquitto", str(folder)).splitlines()
    lines.remove("listener 8883")
    broker = MosquittoBroker(folder, *lines)
    broker.start()
    yield broker
    broker.kill()


def link(broker: MosquittoBroker, folder: Path, user: str, **changes: str) -> Link:
    keys = {"ca_file": f"{folder}/ca.pem", "username": user, "password_file": str(folder / user), **changes}
    return Link(BrokerSettings(url=broker.url.replace("mqtt:", "mqtts:"), **keys), user, on_event=lambda _: None)


@pytest.mark.parametrize("user", ["operator", "pi-01"])
def test_who_is_on_the_page_comes_in(broker: MosquittoBroker, folder: Path, user: str) -> None:
    mine = link(broker, folder, user)
    mine.start()

    mine.wait_connected(60)

    mine.stop()


@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")  # paho's, after a failed handshake
@pytest.mark.parametrize("changes", [{"username": "", "password_file": ""}, {"ca_file": ""}])
def test_nobody_else_does(broker: MosquittoBroker, folder: Path, changes: dict[str, str]) -> None:
    other = link(broker, folder, "pi-01", **changes)
    other.start()

    with pytest.raises(BrokerError):
        other.wait_connected(3)

    other.stop()


def test_what_device_and_host_are_told_are_keys_of_theirs() -> None:
    device = tomllib.loads(file("/etc/edge-agent/config.toml"))
    host = tomllib.loads(file("~/.config/edge-agent/host.toml"))

    config = parse_config(device, "page")

    assert config.mqtt.username == config.device_id, "as the ACL wants it"
    assert strict(host, Settings, "page").username == "operator"
