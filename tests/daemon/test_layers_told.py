"""A real daemon says what confines it and each kind of process that it starts."""

from pathlib import Path

import pytest
from support.brokers import IotcoreBroker
from support.device import Device

from edge_agent.process import seccomp
from edge_agent.wire.messages import DeviceInfo


@pytest.mark.children(covered=False)
def test_the_daemon_is_closed_and_says_what_confines_whom(tmp_path: Path, namespace: str) -> None:
    with IotcoreBroker(tmp_path) as broker, Device(tmp_path, broker.url, namespace) as device:
        layers = device.expect(DeviceInfo, lambda info: bool(info.layers), 120).layers

    assert isinstance(layers, dict)
    assert list(layers) == ["daemon", "worker", "trust", "capture", "sensor"]
    assert [kind for kind, held in layers.items() if "closed_memory" not in held] == []
    assert all(("seccomp" in layers[kind]) is seccomp.available() for kind in ("worker", "trust", "capture", "sensor"))
