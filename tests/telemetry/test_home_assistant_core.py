"""What Home Assistant's own core makes of what devices say: the messages of the wire, at a real broker."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.brokers import MosquittoBroker
from support.device import ONE_CANDIDATE, Device, push
from support.home_assistant import HERE, NOT_HERE, RunningHomeAssistant, Seen, attributes, shown

from edge_agent.telemetry.home_assistant import Described, discovery, discovery_topic, entities
from edge_agent.wire.messages import DeviceStatus, decode, encode
from edge_agent.wire.telemetry import Event, Health, ModelSample, ModelState
from edge_agent.wire.topics import Topics
from host_tools.broker.session import Session
from host_tools.broker.settings import Settings
from host_tools.demo.simulator import SerialImu

TOPICS = Topics("ea/v1")

pytestmark = [
    pytest.mark.external,
    pytest.mark.mosquitto,
    pytest.mark.skipif(not HERE, reason=NOT_HERE),
]


class World:
    """A broker, Home Assistant, and devices that say what a test has them say."""

    def __init__(self, home: RunningHomeAssistant, session: Session, url: str) -> None:
        self.home = home
        self.url = url
        self.session = session

    def describe(self, device: str, *models: str, gone: dict[str, str] | None = None) -> dict[str, str]:
        """Publish the device's description, and that it is online; returns its entities and their platforms."""
        described = Described(device, TOPICS, "Raspberry Pi 4 Model B Rev 1.5", "1.2.3", health_s=60, model_s=60)
        found, left_out = entities(described, models)
        assert not left_out
        self.publish(discovery_topic("homeassistant", device), discovery(described, found, gone or {}))
        self.say(device, "status", DeviceStatus(device=device, online=True))
        return {key: entity["platform"] for key, entity in found.items()}

    def say(self, device: str, kind: Any, message: msgspec.Struct, leaf: str = "") -> None:
        """Publish a message of the wire, retained as it is there."""
        self.publish(TOPICS.device(device, kind, leaf), encode(message), retain=kind not in ("event", "tele"))

    def publish(self, topic: str, payload: bytes, *, retain: bool = True) -> None:
        self.session.publish(topic, payload, retain=retain)

    def shows(self, device: str, **expected: str) -> Seen:
        """Wait until entities have these states; ``__`` stands for a point."""
        wanted = {key.replace("__", "."): state for key, state in expected.items()}
        return self.home.wait(lambda seen: shown(seen, prefix(device)).items() >= wanted.items())


def prefix(device: str) -> str:
    return f"edge-agent:ea/v1:{device}:"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("home-assistant")
    broker = MosquittoBroker(tmp_path_factory.mktemp("broker"))
    broker.start()
    with (
        RunningHomeAssistant(directory, broker.port) as home,
        Session(Settings(url=broker.url)) as session,
    ):
        home.see()
        yield World(home, session, broker.url)
    broker.kill()


@pytest.fixture
def world(running: World) -> Iterator[World]:
    """The same for every test, which must not have made Home Assistant log anything."""
    before = len(running.home.see()["log"])
    yield running
    assert running.home.see()["log"][before:] == []


STATE = ModelState(
    device="pi-01", model="har", active_version=2, active_since="2026-11-30T10:00:00Z", previous_version=1,
    newest_version=3, job="0123456789abcdef", job_version=3, stage="validate", status="rejected", code="low_agreement",
    message="14 of 300 windows disagree", verdict="rejected", method="static", runtime="onnxruntime 1.20", stale=False,
    float_bytes=400_000, model_bytes=104_300, size_ratio=0.2608, float_p50_ms=4.5, p50_ms=2.25, p95_ms=3.5,
    latency_ratio=0.5, latency_ratio_upper=0.52, agreement=0.9833, agreement_lower=0.97, float_accuracy=0.91,
    accuracy=0.9, float_rss_bytes=9_000_000, rss_bytes=3_500_000,
)  # fmt: skip
HEALTH = Health(
    device="pi-01", cpu_share=0.123, memory_available_bytes=1_500_000_000, disk_free_bytes=20_000_000_000,
    disk_written_bytes_per_day=45_600_000.0, temperature_c=61.2, clock_hz=1_500_000_000.0, throttled=True,
    undervoltage=False, agent_rss_bytes=25_000_000,
)  # fmt: skip
SAMPLE = ModelSample(device="pi-01", model="har", version=2, interval_s=60.0, inferences=1200, errors=3, p95_ms=2.75)


def test_every_entity_has_the_value_that_the_device_told(world: World) -> None:
    announced = world.describe("pi-01", "har")
    world.say("pi-01", "model", STATE, "har")
    world.shows("pi-01", model__har__status="rejected")
    for number in range(100):  # nothing of this is retained, and Home Assistant subscribes when it likes
        world.say("pi-01", "tele", HEALTH, "health")
        world.say("pi-01", "tele", SAMPLE, "model/har")
        activated = Event(device="pi-01", event_seq=number, kind="activated", message="har 2", model="har")
        world.say("pi-01", "event", activated)
        seen = world.home.see()
        if not {"unknown", "unavailable"} & set(shown(seen, prefix("pi-01")).values()):
            break
        time.sleep(0.1)

    assert {key: state for key, state in shown(seen, prefix("pi-01")).items() if key != "device.events"} == {
        "device.connected": "on",
        "health.temperature": "61.2",
        "health.processor": "12.3",
        "health.clock": "1500",
        "health.memory": "1500.0",
        "health.disk": "20000.0",
        "health.disk_writes": "45.6",
        "health.agent_memory": "25.0",
        "health.throttled": "on",
        "health.undervoltage": "off",
        "model.har.status": "rejected",
        "model.har.problem": "on",
        "model.har.update": "on",
        "model.har.latency": "2.25",
        "model.har.latency_p95": "3.5",
        "model.har.float_latency": "4.5",
        "model.har.latency_ratio": "0.5",
        "model.har.size": "104.3",
        "model.har.size_ratio": "0.2608",
        "model.har.agreement": "98.33",
        "model.har.accuracy": "90.0",
        "model.har.float_accuracy": "91.0",
        "model.har.memory": "3500.0",
        "model.har.inferences": "1200",
        "model.har.errors": "3",
        "model.har.serving_latency": "2.75",
    }
    assert set(shown(seen, prefix("pi-01"))) == set(announced), "each has an entity"
    assert seen["devices"]["pi-01"] == ["mqtt:edge-agent:ea/v1:pi-01"]
    status = attributes(seen, prefix("pi-01") + "model.har.status")
    assert (status["code"], status["message"]) == ("low_agreement", "14 of 300 windows disagree")
    assert status["runtime"] == "onnxruntime 1.20"
    event = attributes(seen, prefix("pi-01") + "device.events")
    assert (event["event_type"], event["model"], event["message"]) == ("activated", "har", "har 2")
    assert event["event_seq"] <= number


def test_an_update_runs_through_its_progress(world: World) -> None:
    device = "pi-02"
    world.describe(device, "har")
    update = prefix(device) + "model.har.update"
    state = ModelState(
        device=device, model="har", active_version=1, newest_version=1, job_version=1, status="succeeded"
    )
    world.say(device, "model", state, "har")
    world.shows(device, model__har__update="off")

    changes: list[tuple[dict[str, Any], tuple[Any, ...]]] = [
        ({"newest_version": 2, "job_version": 2, "status": "queued", "progress": 0.0}, ("1", "2", True, 0)),
        ({"status": "in_progress", "stage": "calibrate", "progress": 0.29}, ("1", "2", True, 29)),
        ({"status": "in_progress", "stage": "benchmark", "progress": 0.86}, ("1", "2", True, 86)),
        ({"status": "succeeded", "progress": None, "active_version": 2}, ("2", "2", False, None)),
    ]
    shows = ("installed_version", "latest_version", "in_progress", "update_percentage")
    for change, wanted in changes:
        state = msgspec.structs.replace(state, **change)
        world.say(device, "model", state, "har")
        world.home.wait(lambda seen, wanted=wanted: tuple(attributes(seen, update)[key] for key in shows) == wanted)

    assert shown(world.home.see(), prefix(device))["model.har.update"] == "off"
    summary = attributes(world.home.see(), update)["release_summary"]
    assert summary.startswith("Version 2: succeeded. Home Assistant only watches")
    assert "push-model MODEL --device pi-02" in summary
    assert attributes(world.home.see(), update)["supported_features"] & 1 == 0, "it cannot be installed from there"


@pytest.mark.slow
@pytest.mark.children(covered=False)
def test_a_real_job_is_seen_from_its_first_stage_to_its_release(world: World, tmp_path: Path) -> None:
    """With the agent itself, whose own messages say what is right."""
    tables = {"telemetry": {"home_assistant": True, "health_s": 1, "model_s": 1}}
    device = Device(tmp_path, world.url, "ea/v1", name="pi-20", **tables)
    update, told = prefix(device.name) + "model.har.update", []

    def ended(seen: Seen) -> bool:
        if seen["entities"].get(update) in seen["states"]:
            percent = attributes(seen, update).get("update_percentage")
            told.extend([percent] if percent is not None and percent not in told[-1:] else [])
        return shown(seen, prefix(device.name)).get("model.har.status") == "succeeded"

    with SerialImu(device.port), device:
        world.shows(device.name, device__connected="on")
        push(device, recipe=ONE_CANDIDATE)
        world.home.wait(ended, 180)
        seen = world.shows(device.name, model__har__update="off", health__undervoltage="unknown")

        topic = TOPICS.device(device.name, "model", "har")
        state = decode(world.session.snapshot(topic)[topic], ModelState)
        values = shown(seen, prefix(device.name))
        assert attributes(seen, update)["installed_version"] == "1"
        assert told == sorted(told)
        assert len(told) > 1  # how many are seen depends on how fast the job is
        for key, value in {
            "latency": state.p50_ms,
            "latency_p95": state.p95_ms,
            "float_latency": state.float_p50_ms,
            "latency_ratio": state.latency_ratio,
            "size_ratio": state.size_ratio,
        }.items():
            assert value is not None
            assert float(values[f"model.har.{key}"]) == pytest.approx(value, abs=1e-4), key
        assert state.model_bytes is not None
        assert float(values["model.har.size"]) == pytest.approx(state.model_bytes / 1000, abs=0.1)
        assert float(values["health.disk"]) > 0
        assert float(values["health.agent_memory"]) > 10
    world.shows(device.name, device__connected="off", model__har__latency="unavailable")


def test_a_device_that_goes_away_is_unavailable_and_not_connected(world: World) -> None:
    device = "pi-03"
    world.describe(device, "har")
    world.say(device, "model", msgspec.structs.replace(STATE, device=device), "har")
    world.shows(device, device__connected="on", model__har__latency="2.25")

    world.say(device, "status", DeviceStatus(device=device, online=False))

    world.shows(device, device__connected="off", model__har__latency="unavailable")


def test_a_model_that_is_gone_goes_by_its_platforms_alone(world: World) -> None:
    device = "pi-04"
    announced = world.describe(device, "har", "keyword")
    world.shows(device, model__har__status="unknown", model__keyword__status="unknown")
    without = {key: platform for key, platform in announced.items() if key.startswith("model.har.")}

    world.describe(device, "keyword")
    world.publish("ea/v1/d/pi-04/model/keyword", encode(ModelState(device=device, model="keyword", status="queued")))
    seen = world.shows(device, model__keyword__status="queued")
    assert set(shown(seen, prefix(device))) == set(announced), "what is merely left out stays for ever"

    world.describe(device, "keyword", gone=without)
    seen = world.home.wait(lambda seen: not without.keys() & shown(seen, prefix(device)).keys())
    assert set(shown(seen, prefix(device))) == set(announced) - set(without)

    world.describe(device, "keyword")
    world.describe(device, "keyword", gone=without)
    world.say(device, "model", ModelState(device=device, model="keyword", status="failed"), "keyword")
    world.shows(device, model__keyword__status="failed")


def test_a_device_that_is_cleared_goes(world: World) -> None:
    device = "pi-05"
    world.describe(device, "har")
    world.home.wait(lambda seen: device in seen["devices"])

    world.publish(discovery_topic("homeassistant", device), b"")

    seen = world.home.wait(lambda seen: device not in seen["devices"])
    assert shown(seen, prefix(device)) == {}


def test_a_topic_that_is_cleared_makes_its_values_unknown(world: World) -> None:
    device = "pi-06"
    world.describe(device, "har")
    world.say(device, "model", msgspec.structs.replace(STATE, device=device), "har")
    world.shows(device, model__har__latency="2.25")

    world.publish(TOPICS.device(device, "model", "har"), b"")

    seen = world.shows(device, model__har__latency="unknown", model__har__status="unknown")
    assert shown(seen, prefix(device))["model.har.size"] == "unknown"


def test_the_empty_messages_of_a_doctor_change_nothing(world: World) -> None:
    device = "pi-10"
    world.describe(device)

    there = {"device.connected": "on", "health.temperature": "61.2", "health.throttled": "on"}
    for number in range(100):  # nothing of this is retained, and Home Assistant subscribes when it likes
        world.say(device, "tele", HEALTH, "health")
        world.say(device, "event", Event(device=device, event_seq=number, kind="started"))
        values = shown(world.home.see(), prefix(device))
        if values.items() >= there.items() and values["device.events"] not in ("unknown", "none"):
            break
        time.sleep(0.1)
    for stream in ("status", "event", "tele/health"):
        world.publish(f"ea/v1/d/{device}/{stream}", b"", retain=False)
    world.publish(f"ea/v1/d/{device}/status", b"{}", retain=False)
    world.say(device, "event", Event(device=device, event_seq=1000, kind="started"))

    seen = world.home.wait(lambda seen: attributes(seen, prefix(device) + "device.events")["event_seq"] == 1000)
    assert shown(seen, prefix(device)).items() >= there.items()


@pytest.mark.parametrize(
    "payload",
    [
        b"[1, 2]",
        b"7",
        b'"<b>hi</b>"',
        b"not JSON",
        b'{"p50_ms": "{{ 7*7 }}", "status": "<script>", "message": {"a": 1}, "verdict": {}, "stale": 1}',
        b'{"model": "har", "active_version": "x", "newest_version": [], "status": 7, "code": "<b>"}',
    ],
)
def test_what_makes_no_sense_is_unknown(world: World, payload: bytes) -> None:
    device = "pi-07"
    world.describe(device, "har")
    world.say(device, "model", msgspec.structs.replace(STATE, device=device), "har")
    world.shows(device, model__har__latency="2.25", model__har__status="rejected")

    world.publish(TOPICS.device(device, "model", "har"), payload)

    world.shows(device, model__har__latency="unknown", model__har__status="unknown")


def test_the_longest_message_fits(world: World) -> None:
    device = "pi-08"
    world.describe(device, "har")
    long = msgspec.structs.replace(
        STATE, device=device, message="\N{SNOWMAN}" * 2000, code="x" * 5000, runtime="\N{SNOWMAN}" * 2000,
        stage="s" * 5000, verdict="v" * 5000, active_since="z" * 5000, method="m" * 5000,
    )  # fmt: skip
    odd = encode(long).replace(b'"previous_version":1', b'"previous_version":"' + b"p" * 5000 + b'"')
    world.publish(TOPICS.device(device, "model", "har"), odd)

    seen = world.shows(device, model__har__status="rejected")

    told = attributes(seen, prefix(device) + "model.har.status")
    assert len(json.dumps(told, ensure_ascii=False).encode()) <= 16_384
    assert len(told["message"]) == 1000
    assert (told["stage"], told["previous_version"], told["stale"]) == ("s" * 100, None, False)
    assert len(attributes(seen, prefix(device) + "model.har.update")["release_summary"]) <= 255


def test_one_unknown_key_at_the_top_loses_the_whole_device(running: World) -> None:
    """Why the message has no other keys than these; the same payload without it is taken."""
    described = Described("pi-09", TOPICS, "", "1.2.3", health_s=60, model_s=60)
    message = json.loads(discovery(described, entities(described, ["har"])[0], {}))
    topic = discovery_topic("homeassistant", "pi-09")

    running.publish(topic, json.dumps({**message, "expire_after": 60}).encode())
    seen = running.home.wait(lambda seen: any("expire_after" in line for line in seen["log"]))
    assert "pi-09" not in seen["devices"]

    running.publish(topic, json.dumps(message).encode())
    running.home.wait(lambda seen: "pi-09" in seen["devices"])
