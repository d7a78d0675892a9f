"""Orders in threads of their own, at a real broker."""

import io
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.brokers import Broker
from support.fake_device import FakeDevice, ends
from support.fleets import eventually
from support.host import MANIFEST

from edge_agent.errors import ConfigError
from edge_agent.wire.topics import Scope
from host_tools.broker.settings import Settings
from host_tools.dashboard.orders import commander
from host_tools.dashboard.orders.commander import MOST_AT_ONCE, Commander
from host_tools.dashboard.orders.ledger import Entry
from host_tools.dashboard.orders.uploads import Upload

NOWHERE = Settings(url="mqtt://127.0.0.1:9", namespace="t/nobody", broker_timeout_s=0.1)
TO_PI = [Scope("d", "pi-01")]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.fixture
def never_ends(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Pushes that wait for what does not come; gives what is set when one has begun."""
    begun, release = threading.Event(), threading.Event()

    def push(*_: object) -> None:
        begun.set()
        release.wait(60)

    monkeypatch.setattr(commander, "push", push)
    yield begun
    release.set()


def new(settings: Settings) -> Commander:
    return Commander(settings, print, lambda: None)


def upload(orders: Commander) -> Upload:
    return orders.uploads.take("anna", "har.onnx", io.BytesIO(bytes(range(256)) * 1000))


def entry(orders: Commander, number: str) -> Entry:
    found = orders.ledger.entry(number)
    assert found is not None
    return found


def ended(orders: Commander, number: str) -> Entry:
    eventually(lambda: not entry(orders, number).waiting, 60)
    return entry(orders, number)


def push(orders: Commander, one: Upload, version: int = 1) -> str:
    return orders.push("anna", one, TO_PI, MANIFEST, version)


def test_an_order_that_was_sent_before_the_broker_went_away_says_so(one_broker: Broker, namespace: str) -> None:
    orders = new(Settings(url=one_broker.url, namespace=namespace, broker_timeout_s=4))
    one = upload(orders)
    with FakeDevice(one_broker.url, namespace, "pi-01", done=None) as device:
        (number,) = orders.command("anna", {3: ["pi-01"]}, "rollback", model="har")
        pushed = push(orders, one)
        assert device.wanted.wait(60)
        eventually(lambda: bool(device.commands), 60)
        eventually(lambda: all(entry(orders, each).until for each in (number, pushed)), 60)
        device.broker_is_gone = True
        one_broker.kill()

        for each in (number, pushed):
            assert ended(orders, each).failure.startswith("Sent, and devices obey it until 2")
    assert not one.path.exists()
    assert entry(orders, pushed).about == "har 1"


def test_a_model_that_was_not_sent_stays_to_be_sent_again() -> None:
    orders = new(NOWHERE)
    one = upload(orders)

    first = ended(orders, push(orders, one))
    second = ended(orders, push(orders, one))

    assert first.failure.startswith("Not sent: broker_unreachable")
    assert first.id != second.id
    assert orders.uploads.get(one.id, "anna") is one


def test_a_push_that_is_ordered_twice_is_sent_once(one_broker: Broker, namespace: str) -> None:
    orders = new(Settings(url=one_broker.url, namespace=namespace))
    one = upload(orders)
    together, numbers = threading.Barrier(2), []

    def click() -> None:
        together.wait()
        numbers.append(push(orders, one))

    with FakeDevice(one_broker.url, namespace, "pi-01", [ends("rejected", "agreement_low")]) as device:
        clicks = [threading.Thread(target=click) for _ in range(2)]
        for each in clicks:
            each.start()
        for each in clicks:
            each.join()
        assert device.wanted.wait(60)

        assert len(set(numbers)) == 1
        assert len(orders.ledger.entries()) == 1
        assert ended(orders, numbers[0]).about == "har 1"
        assert [one.version for one in device.wants] == [1]
        assert not one.path.exists()


def test_a_version_that_was_not_checked_is_not_sent(one_broker: Broker, namespace: str) -> None:
    orders = new(Settings(url=one_broker.url, namespace=namespace))
    one = upload(orders)
    with FakeDevice(one_broker.url, namespace, "pi-01") as device:
        found = ended(orders, push(orders, one, version=5))

        assert found.failure == "Not sent: usage: the next version of har is now 1, not 5; check it again"
        assert not device.wants


def test_no_path_of_this_host_is_told() -> None:
    orders = new(NOWHERE)
    one = upload(orders)

    found = ended(orders, orders.push("anna", one, TO_PI, "name = [", 1))

    assert "M.toml" in found.trouble
    assert str(one.path.parent) not in found.trouble


def test_an_order_of_many_versions_is_begun_whole_or_not_at_all() -> None:
    orders = new(NOWHERE)
    most = MOST_AT_ONCE["command"]

    with pytest.raises(ConfigError, match="nothing was sent"):
        orders.command("anna", {version: ["pi-01"] for version in range(1, most + 2)}, "recalibrate", model="har")
    assert not orders.ledger.entries()

    numbers = orders.command("anna", {version: ["pi-01"] for version in range(1, 21)}, "recalibrate", model="har")
    assert len(numbers) == 20
    for number in numbers:
        ended(orders, number)
    assert len(orders.command("anna", {1: ["pi-01"]}, "recalibrate", model="har")) == 1, "all are free again"


def test_pushes_that_hang_keep_no_rollback_from_going_out(never_ends: threading.Event) -> None:
    orders = new(NOWHERE)
    for number in range(MOST_AT_ONCE["push"]):
        orders.resend("anna", TO_PI, f"job-{number}") if number else push(orders, upload(orders))
    assert never_ends.wait(60)

    (number,) = orders.command("anna", {3: ["pi-01"]}, "rollback", model="har")

    assert ended(orders, number).trouble
