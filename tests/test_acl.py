"""The broker's ACL that the README shows: enough for the whole job, and not a message more.

mosquitto grants subscriptions that it will not serve, so what is tested is delivery.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.brokers import MOSQUITTO, MosquittoBroker
from support.device import Device, push
from support.links import QueuedLink

from edge_agent.mqtt import Connected, Incoming
from host_tools.broker.session import Session
from host_tools.broker.settings import Settings

README = Path(__file__).parent.parent / "README.md"
USERS = ("operator", "dashboard", "pi-01", "pi-02")

pytestmark = [pytest.mark.mosquitto, pytest.mark.slow]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[MosquittoBroker]:
    """A mosquitto that knows four users and the README's ACL."""
    if MOSQUITTO is None:
        pytest.skip("needs mosquitto: sudo apt install mosquitto")
    found = re.search(r"```\n# /etc/mosquitto/acl\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    (tmp_path / "acl").write_text(found[1])
    (tmp_path / "acl").chmod(0o600)
    passwords = tmp_path / "passwords"
    passwords.touch(0o600)
    tool = shutil.which("mosquitto_passwd") or "mosquitto_passwd"
    for user in USERS:
        subprocess.run([tool, "-b", passwords, user, "secret"], check=True, capture_output=True)
    (tmp_path / "password").write_text("secret\n")
    broker = MosquittoBroker(
        tmp_path, "allow_anonymous false", f"password_file {passwords}", f"acl_file {tmp_path / 'acl'}"
    )
    broker.start()
    yield broker
    broker.kill()


def test_a_job_goes_all_the_way_and_nobody_else_may_interfere(tmp_path: Path, broker: MosquittoBroker) -> None:
    password = str(tmp_path / "password")
    garbage = tmp_path / "garbage.onnx"
    garbage.write_bytes(b"no model" * 40_000)
    login = {"username": "pi-01", "password_file": password}
    device = Device(tmp_path, broker.url, "ea/v1", login=("dashboard", password), mqtt=login)
    with device:
        push(device, garbage, login=("operator", password))

        assert device.end_of(1).code == "model_unreadable"

    intruder = QueuedLink(broker.url, "intruder", login=("pi-02", password))
    watcher = QueuedLink(broker.url, "watcher", login=("operator", password))
    with intruder, watcher:
        watcher.expect(Connected)
        watcher.link.subscribe("ea/v1/#")
        intruder.expect(Connected)
        for topic in ("ea/v1/d/pi-01/want/har", "ea/v1/d/pi-01/status", "ea/v1/g/lab/want/har", "ea/v1/b/x/0/0"):
            intruder.link.publish(topic, b"intruder", retain=True)
        intruder.link.publish("ea/v1/d/pi-02/status", b"honest", retain=True)
        intruder.link.subscribe("ea/v1/d/pi-01/#")

        first = watcher.expect(Incoming, where=lambda message: message.payload in (b"intruder", b"honest"))
        assert first.topic == "ea/v1/d/pi-02/status"
    assert not [event for event in intruder.inbox.queue if isinstance(event, Incoming)]


def test_the_host_finds_what_the_broker_holds(tmp_path: Path, broker: MosquittoBroker) -> None:
    """Without reading ``b/`` and ``g/`` every push would send everything again, and no purge would find anything."""
    password = str(tmp_path / "password")
    settings = Settings(broker=broker.url, username="operator", password_file=password)
    with Session(settings) as session:
        session.publish("ea/v1/g/lab/want/har", b"x")

        assert session.snapshot("ea/v1/g/+/want/+") == {"ea/v1/g/lab/want/har": b"x"}
