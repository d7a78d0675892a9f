"""An older version is answered at once, by a real daemon, over both kinds of broker."""

import time
from pathlib import Path

import pytest
from support.brokers import Broker
from support.device import Device
from support.host import Host

MANIFEST = """
name = "har"
version = {version}
[input]
source = "imu"
channels = ["ax", "ay"]
window = {{ size = 128, hop = 64 }}
"""


def test_an_older_version_in_the_place_of_a_newer_one(
    broker: Broker, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The model is none, so version 3 ends at once; its want stays until version 2 takes its place."""
    host = Host(broker.url, namespace, tmp_path, monkeypatch, capsys)
    with Device(tmp_path, broker.url, namespace) as device:
        host.write_manifest(MANIFEST.format(version=3))
        newer = host.push("--device", "pi-01")
        host.write_manifest(MANIFEST.format(version=2))
        began = time.monotonic()
        older = host.push("--device", "pi-01", "--json", "--timeout", "60")
        took = time.monotonic() - began
        host.write_manifest(MANIFEST.format(version=4))
        newest = host.push("--device", "pi-01")
        status = device.expect(type(device.status), lambda status: status.refused is None, 10)

    assert newer.exit == 5, newer.out
    assert older.exit == 6
    assert older.events[-1]["devices"]["pi-01"]["code"] == "downgrade"
    assert took < 20, "it used to say nothing, and push-model waited for fifteen minutes"
    assert "har 3 is known here: pi-01 will answer version 2 with downgrade" in older.err
    assert newest.exit == 5, "rejected as no model, not for its version"
    assert status.refused_count == 1
