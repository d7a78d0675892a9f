"""The daemon tells Home Assistant of the device, and takes back what is no longer there; at a real broker."""

import json
import queue
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import pytest
from support.brokers import MosquittoBroker
from support.links import QueuedLink

from edge_agent.daemon import home_assistant
from edge_agent.daemon.home_assistant import HomeAssistant
from edge_agent.errors import StoreError
from edge_agent.mqtt import Connected, Incoming
from edge_agent.settings.device import parse_config
from edge_agent.state.store import Announced, Store
from edge_agent.telemetry.pause import Pause

if TYPE_CHECKING:
    from edge_agent.daemon.job_ledger import JobLedger

TOPIC = "homeassistant/device/edge-agent/pi-01/config"

pytestmark = pytest.mark.mosquitto


class Job(NamedTuple):
    """One of the ledger's."""

    model: str


class Ledger:
    """The jobs that are kept, one a model."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}

    def add(self, *models: str) -> None:
        self.jobs |= {model: Job(model) for model in models}


class Bench:
    """A device's discovery at a broker, and an eye on what comes there."""

    def __init__(self, state: Path, url: str) -> None:
        self.store = Store(state)
        self.store.lock()
        self.url = url
        self.ledger = Ledger()
        self.links: list[QueuedLink] = []
        self.eye = self.connect("eye")
        self.eye.link.subscribe("+/device/#", "+/+/device/#")

    def connect(self, client: str) -> QueuedLink:
        link = QueuedLink(self.url, client, clean=client == "eye")
        self.links.append(link)
        link.link.start()
        link.expect(Connected)
        return link

    def begin(self, *, device: str = "pi-01", namespace: str = "ea/v1", **telemetry: Any) -> HomeAssistant:
        """The daemon starts with this configuration, and is connected."""
        telemetry = {"home_assistant": True, **telemetry}
        table = {"device_id": device, "mqtt": {"namespace": namespace}, "telemetry": telemetry}
        link = self.connect(f"agent-{len(self.links)}").link
        self.begun = HomeAssistant(
            parse_config(table, "test"), self.store, link, cast("JobLedger", self.ledger), Pause()
        )
        self.begun.connected()
        return self.begun

    def activate(self, model: str) -> None:
        """A release of the model is active."""
        (self.store.models / model).mkdir()
        (self.store.models / model / "active").symlink_to("releases/1")

    def next(self) -> tuple[str, dict[str, Any]]:
        """Topic and components of what the device publishes next; none: it clears what was there."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            self.begun.tick()
            try:
                event = self.eye.inbox.get(timeout=0.01)
            except queue.Empty:
                continue
            if isinstance(event, Incoming):
                return event.topic, json.loads(event.payload)["components"] if event.payload else {}
        raise TimeoutError

    def settle(self) -> None:
        """Let the device hear what the broker answers, and see that it then says nothing more."""
        deadline = time.monotonic() + 60
        self.begun.tick()
        while self.begun._sent is not None:
            assert time.monotonic() < deadline, "the broker does not answer"
            self.begun.tick()
            time.sleep(0.005)
        end = time.monotonic() + 0.2
        while time.monotonic() < end:
            self.begun.tick()
            time.sleep(0.01)
        assert not [event for event in iter_inbox(self.eye) if isinstance(event, Incoming)]


def iter_inbox(link: QueuedLink) -> Iterator[object]:
    while not link.inbox.empty():
        yield link.inbox.get()


def models(components: dict[str, Any]) -> set[str]:
    """The models of which there is something to see."""
    return {key.split(".")[1] for key, one in components.items() if key.startswith("model.") and len(one) > 1}


def gone(components: dict[str, Any]) -> set[str]:
    """The models that Home Assistant is told to forget."""
    return {key.split(".")[1] for key, one in components.items() if key.startswith("model.") and len(one) == 1}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that looks often."""
    monkeypatch.setattr(home_assistant, "_LOOK_EVERY_S", 0.02)


@pytest.fixture
def bench(tmp_path: Path, mosquitto: MosquittoBroker) -> Iterator[Bench]:
    bench = Bench(tmp_path / "state", mosquitto.url)
    yield bench
    for link in bench.links:
        link.link.stop()
    bench.store.unlock()


def test_by_default_nothing_is_told(bench: Bench) -> None:
    bench.activate("har")
    bench.begin(home_assistant=False)

    bench.settle()

    assert not (bench.store.root / "home-assistant.json").exists()


def test_a_model_appears_when_it_was_accepted_and_is_told_once(bench: Bench) -> None:
    bench.begin()
    topic, components = bench.next()
    assert (topic, models(components)) == (TOPIC, set())
    bench.settle()

    bench.ledger.add("har")

    assert models(bench.next()[1]) == {"har"}
    bench.activate("har")
    bench.settle()


def test_a_model_that_is_gone_is_forgotten_though_it_went_while_the_daemon_was_off(bench: Bench) -> None:
    bench.ledger.add("har", "keyword")
    bench.begin()
    bench.next()
    bench.settle()
    del bench.ledger.jobs["har"]

    bench.begin()

    components = bench.next()[1]
    assert (models(components), gone(components)) == ({"keyword"}, {"har"})
    assert set(components["model.har.size"]) == {"platform"}
    bench.settle()
    bench.begun._gone_until = time.monotonic()  # an hour has passed
    components = bench.next()[1]
    assert (models(components), gone(components)) == ({"keyword"}, set()), "then it is left out"
    bench.settle()
    bench.begin()
    assert gone(bench.next()[1]) == set()


def test_a_model_that_comes_back_is_there_again(bench: Bench) -> None:
    bench.ledger.add("har")
    bench.begin()
    bench.next()
    bench.settle()
    bench.ledger.jobs.clear()
    assert gone(bench.next()[1]) == {"har"}
    bench.ledger.add("har")

    components = bench.next()[1]

    assert (models(components), gone(components)) == ({"har"}, set())


def test_a_stream_that_was_switched_off_goes(bench: Bench) -> None:
    bench.begin()
    bench.next()
    bench.settle()

    bench.begin(health_s=0)

    components = bench.next()[1]
    assert components["health.temperature"] == {"platform": "sensor"}
    assert components["health.throttled"] == {"platform": "binary_sensor"}


def test_switched_off_it_is_cleared_once(bench: Bench) -> None:
    bench.begin()
    bench.next()
    bench.settle()

    bench.begin(home_assistant=False)

    assert bench.next() == (TOPIC, {})
    bench.settle()
    bench.begin(home_assistant=False)
    bench.settle()


@pytest.mark.parametrize(
    ("change", "topic"),
    [
        ({"device": "pi-02"}, "homeassistant/device/edge-agent/pi-02/config"),
        ({"home_assistant_prefix": "home/ha"}, "home/ha/device/edge-agent/pi-01/config"),
        ({"namespace": "plant"}, TOPIC),
    ],
)
def test_another_id_namespace_or_prefix_clears_what_was_told(bench: Bench, change: dict[str, Any], topic: str) -> None:
    bench.begin()
    bench.next()
    bench.settle()

    bench.begin(**change)

    assert bench.next() == (TOPIC, {})
    assert bench.next()[0] == topic
    bench.settle()


def test_what_is_gone_is_left_out_after_an_hour_however_often_it_connects(bench: Bench) -> None:
    bench.ledger.add("har")
    begun = bench.begin()
    bench.next()
    bench.settle()
    bench.ledger.jobs.clear()
    assert gone(bench.next()[1]) == {"har"}
    until = begun._gone_until

    begun.connected()

    assert gone(bench.next()[1]) == {"har"}
    assert begun._gone_until == until


def test_a_model_that_is_there_keeps_its_room(bench: Bench) -> None:
    first = [f"m-{number}-{'x' * 50}" for number in range(4)]
    bench.ledger.add(*first)
    bench.begin()
    bench.next()
    bench.ledger.add(*(f"a-{number}-{'x' * 50}" for number in range(20)))

    told = models(bench.next()[1])

    assert told > set(first)
    assert len(told) < 24


def test_what_cannot_be_read_now_is_not_written_over(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.ledger.add("har")
    bench.begin()
    bench.next()
    bench.settle()
    bench.ledger.jobs.clear()
    reads = [StoreError("state_unreadable", "the disk hangs; see how the device's disk does")]
    announced = bench.store.announced

    def fail_once() -> Announced | None:
        if reads:
            raise reads.pop()
        return announced()

    monkeypatch.setattr(bench.store, "announced", fail_once)
    bench.begin()

    assert gone(bench.next()[1]) == {"har"}


def test_a_broker_that_has_lost_everything_is_told_again(bench: Bench) -> None:
    begun = bench.begin()
    bench.next()
    bench.settle()

    begun.connected()

    assert bench.next()[0] == TOPIC


def test_a_full_disk_says_nothing_that_could_not_be_taken_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.begin()
    (bench.store.root / ".home-assistant.json.tmp").mkdir()  # so that nothing can be written
    bench.settle()
    (bench.store.root / ".home-assistant.json.tmp").rmdir()

    assert bench.next()[0] == TOPIC


def test_a_broker_that_refuses_is_asked_once_a_connection_and_that_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "acl").write_text("topic readwrite ea/#\ntopic read homeassistant/#\n")
    (tmp_path / "acl").chmod(0o600)
    broker = MosquittoBroker(tmp_path, f"acl_file {tmp_path}/acl")
    broker.start()
    bench = Bench(tmp_path / "state", broker.url)
    begun = bench.begin()

    for _ in range(2):
        begun.connected()
        bench.settle()

    said = [record.message for record in caplog.records if record.name == home_assistant.__name__]
    line = 'the ACL needs the line "pattern write homeassistant/device/edge-agent/%u/config"'
    assert said == [f"broker_refused: {TOPIC}; Home Assistant gets no updates; {line}"]
    assert broker.log.read_text().count("Denied PUBLISH") <= 2
    bench.begin(home_assistant=False)
    bench.settle()
    assert f"keeps showing this device until the topic is cleared; {line}" in caplog.records[-1].message
    for link in bench.links:
        link.link.stop()
    bench.store.unlock()
    broker.kill()
