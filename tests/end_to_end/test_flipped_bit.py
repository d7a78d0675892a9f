"""A bit of the stored float model flips on the card: no verdict is given on it, and the next push brings it anew."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.brokers import Broker
from support.device import DEMO_MODEL, ONE_CANDIDATE, Device, push

from host_tools.demo.simulator import SerialImu
from host_tools.push.manifest_file import read_blob

pytestmark = [pytest.mark.slow, pytest.mark.children(covered=False)]


@pytest.fixture
def device(tmp_path: Path, one_broker: Broker, namespace: str) -> Iterator[Device]:
    with Device(tmp_path, one_broker.url, namespace) as device, SerialImu(device.port):
        yield device


def test_a_bit_that_flips_in_the_store_is_found_and_mended_by_the_next_push(device: Device) -> None:
    push(device, recipe=ONE_CANDIDATE)
    assert device.end_of(1).code == "accepted"
    stored = device.state / "blobs" / read_blob(DEMO_MODEL).sha256
    data = bytearray(stored.read_bytes())
    data[len(data) // 2] ^= 1
    stored.write_bytes(data)
    active = device.active()

    push(device, version=2, recipe=ONE_CANDIDATE)
    end = device.end_of(2)

    assert (end.status, end.code, end.stage) == ("failed", "hash_mismatch", "capture"), end.message
    assert device.active() == active
    push(device, version=3, recipe=ONE_CANDIDATE)
    assert device.end_of(3).code == "accepted"
    assert stored.read_bytes() == DEMO_MODEL.read_bytes()
