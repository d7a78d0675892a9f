"""A purge clears nothing while what is wanted is not known for sure."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.brokers import MosquittoBroker
from support.flood import Flood

from edge_agent.errors import BrokerError
from edge_agent.wire.chunks import digest_pages
from edge_agent.wire.envelope import MANIFEST_TYPE, seal
from edge_agent.wire.manifest import Blob, Manifest, encode_manifest
from edge_agent.wire.messages import DeviceStatus, encode
from edge_agent.wire.topics import Scope, Topics
from host_tools.broker.purge import purge
from host_tools.broker.session import Session
from host_tools.broker.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.mosquitto
FLEET = 1600


def blob(number: int) -> Blob:
    """A blob of its own for each device."""
    return Blob(f"{number:064x}", 1000, ["0" * 64])


def fleet(topics: Topics, devices: int) -> list[tuple[str, bytes]]:
    """What a broker retains of devices that each want a blob of their own."""
    page = digest_pages(iter([bytes(1000)]))[0]
    messages = []
    for number in range(devices):
        name = f"pi-{number}"
        scope = Scope("d", name)
        manifest = Manifest(topics.namespace, "har", 1, "onnx", blob(number), targets=[str(scope)])
        messages += [
            (topics.device(name, "status"), encode(DeviceStatus(device=name, online=False))),
            (topics.want(scope, "har"), seal(encode_manifest(manifest), MANIFEST_TYPE)),
            (topics.page(blob(number).sha256, 0), page),
        ]
    return messages


def retain(broker: MosquittoBroker, messages: list[tuple[str, bytes]]) -> None:
    with Flood(broker.url, messages.__getitem__, qos=1, retain=True, most=len(messages)) as flood:
        flood.finish()


@pytest.fixture
def settings(mosquitto: MosquittoBroker, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return Settings(url=mosquitto.url, namespace=namespace)


def test_no_blob_of_a_large_fleet_is_taken_for_unwanted(mosquitto: MosquittoBroker, settings: Settings) -> None:
    """Of 1,600 wanted blobs 568 were, as the broker does not deliver more than it queues at once."""
    retain(mosquitto, fleet(settings.topics, FLEET))

    with Session(settings) as session:
        purged = purge(session, settings, grace_s=0)

    assert (purged.blobs, purged.kept) == ([], FLEET)


@pytest.mark.parametrize("hidden", ["from the one for all", "from the device's own"])
def test_two_readings_that_differ_clear_nothing(
    mosquitto: MosquittoBroker, settings: Settings, monkeypatch: pytest.MonkeyPatch, hidden: str
) -> None:
    """A broker cannot be made to leave something out, so what it has delivered is made less."""
    retain(mosquitto, [*fleet(settings.topics, 5), (settings.topics.page("e" * 64, 0), bytes(32))])
    snapshot: Callable[..., dict[str, bytes]] = Session.snapshot
    at_once = settings.topics.want(Scope("d", "+"), "+")

    def less(session: Session, *filters: str) -> dict[str, bytes]:
        found = snapshot(session, *filters)
        if (at_once in filters) == (hidden == "from the one for all"):
            found.pop(settings.topics.want(Scope("d", "pi-3"), "har"), None)
        return found

    monkeypatch.setattr(Session, "snapshot", less)
    with Session(settings) as session, pytest.raises(BrokerError, match="differ in 1 want") as caught:
        purge(session, settings, grace_s=0)
    monkeypatch.undo()
    with Session(settings) as session:
        left = session.snapshot(settings.topics.blobs())

    assert caught.value.code == "snapshot_incomplete"
    assert len(left) == 6
