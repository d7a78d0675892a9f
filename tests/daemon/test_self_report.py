"""What the daemon says of itself: which of its acts are events, and how they and its health reach a real broker."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from support.agents import DEVICE, TOPICS, LocalAgent, wanted
from support.brokers import MosquittoBroker
from support.device import Device, push
from support.ear import Ear

from edge_agent.daemon import self_report
from edge_agent.daemon.events import SensorSaid
from edge_agent.execution.run import StageEnd
from edge_agent.jobs.task import Stage
from edge_agent.mqtt import Connected, Disconnected, Incoming
from edge_agent.process.child_exit import ChildExit
from edge_agent.settings.sharing import SourceState
from edge_agent.state.releases import Releases
from edge_agent.telemetry.sensor_watch import GRACE_S
from edge_agent.wire.envelope import COMMAND_TYPE, MANIFEST_TYPE, seal
from edge_agent.wire.manifest import encode_manifest
from edge_agent.wire.messages import Command, encode
from host_tools.broker.signing import enclose, generate_key

FIRST_BOOT = ["started"]


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalAgent]:
    agent = LocalAgent(tmp_path / "state").boot()
    yield agent
    agent.off()


def kinds(agent: LocalAgent) -> list[str]:
    return [event.kind for event in agent.events()]


def until_last(agent: LocalAgent, kind: str) -> None:
    deadline = time.monotonic() + 60
    while kinds(agent)[-1] != kind:
        assert time.monotonic() < deadline, kinds(agent)
        agent.step()


def order(name: str, action: str, **fields: object) -> Incoming:
    body = {"namespace": "ea/v1", "id": name, "action": action, "targets": [str(DEVICE)], **fields}
    command = msgspec.convert({**body, "expires": "2099-01-01T00:00:00Z"}, Command)
    return Incoming(TOPICS.command(DEVICE, name), seal(encode(command), COMMAND_TYPE), retained=True)


def test_each_end_of_a_job_is_an_event_with_what_the_log_says(
    local: LocalAgent, caplog: pytest.LogCaptureFixture
) -> None:
    accepted = local.want(1)
    local.settle()
    local.stages.ends[Stage.VALIDATE] = StageEnd("agreement_too_low", "14 of 300 disagree", "rejected", 0.1)
    rejected = local.want(2)
    local.settle()
    local.stages.ends[Stage.VALIDATE] = StageEnd("stage_crashed", "it died", "failed", 0.1)
    failed = local.want(3)
    local.settle()

    events = local.events()[1:]
    assert [(event.kind, event.severity, event.code, event.version, event.job) for event in events] == [
        ("activated", "info", "accepted", 1, accepted),
        ("rejected", "warning", "agreement_too_low", 2, rejected),
        ("failed", "error", "stage_crashed", 3, failed),
    ]
    assert {event.model for event in events} == {"har"}
    assert all(event.message in caplog.text for event in events[1:])


def test_a_float_model_that_is_activated_after_a_refusal_is_both(tmp_path: Path) -> None:
    agent = LocalAgent(tmp_path / "state", activation={"on_rejected": "float"}).boot()
    agent.stages.ends[Stage.VALIDATE] = StageEnd("no_gain", "it gains nothing", "rejected", 0.1)
    agent.want(1)
    agent.settle()

    assert kinds(agent) == [*FIRST_BOOT, "rejected", "activated"]
    assert "the float model" in agent.events()[-1].message
    agent.off()


def test_what_a_person_stops_or_replaces_is_no_event(local: LocalAgent) -> None:
    local.stages.held = {Stage.CAPTURE}
    job = local.want(1)
    local.want(2)
    for _ in range(3):
        local.step()
    assert local.agent.jobs[job].code == "superseded"

    assert kinds(local) == FIRST_BOOT


def test_a_rollback_and_a_release_that_the_card_has_spoilt_are_told(tmp_path: Path) -> None:
    agent = LocalAgent(tmp_path / "state").boot()
    for version in (1, 2, 3):
        agent.want(version)
        agent.settle()
    agent.handle(order("c-1", "rollback", model="har", version=3))
    until_last(agent, "rolled_back")
    rolled_back = agent.events()[-1]
    releases = Releases(agent.store.models, "har")
    current = releases.active()
    assert current is not None
    agent.off()
    (releases.path(current.name) / current.file).write_bytes(b"spoilt")
    again = LocalAgent(tmp_path / "state").boot()
    until_last(again, "rolled_back")

    healed = again.events()[-1]
    assert (rolled_back.kind, rolled_back.version, rolled_back.message) == (
        *("rolled_back", 3),
        "rolled back har from 3 to 2",
    )
    assert (healed.code, healed.model) == ("release_corrupt", "har")
    assert (healed.version, healed.job) == (current.version, current.job)
    assert "no longer has its hash" in healed.message
    again.off()


def test_a_signed_order_that_is_refused_is_told_once_however_often_it_is_sent(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    generate_key(tmp_path / "a.key", tmp_path / "keys" / "a.pem")
    generate_key(tmp_path / "b.key", tmp_path / "b.pem")
    agent = LocalAgent(tmp_path / "state", trust={"allow_unsigned": False, "keys_dir": str(tmp_path / "keys")}).boot()
    expired = encode_manifest(wanted(1, expires="2001-01-01T00:00:00Z"))
    mine, anybodys = (
        Incoming(TOPICS.want(DEVICE, "har"), enclose(expired, MANIFEST_TYPE, str(tmp_path / key)), retained=False)
        for key in ("a.key", "b.key")
    )
    for message in (anybodys, mine, mine, anybodys):
        agent.handle(message)
    deadline = time.monotonic() + 60
    while "refused" not in kinds(agent):
        assert time.monotonic() < deadline
        agent.step()
    for _ in range(3):
        agent.handle(mine)
        agent.agent.tick()

    assert kinds(agent) == [*FIRST_BOOT, "refused"]
    assert (agent.events()[-1].code, agent.events()[-1].model) == ("expired", "har")
    agent.off()


def test_an_agent_that_was_killed_says_so_at_its_next_start_and_one_that_was_stopped_does_not(tmp_path: Path) -> None:
    LocalAgent(tmp_path / "state").boot().off()
    killed = LocalAgent(tmp_path / "state").boot()
    killed.agent.stop()
    killed.off()
    stopped = LocalAgent(tmp_path / "state").boot()
    stopped.off()
    (tmp_path / "state" / "running").write_text("another boot")
    LocalAgent(tmp_path / "state").boot().off()

    LocalAgent(tmp_path / "state").boot().off()
    broken = LocalAgent(tmp_path / "state").boot()
    broken.agent.stop(clean=False)
    broken.off()
    LocalAgent(tmp_path / "state").boot().off()

    messages = [(event.kind, event.message.partition(":")[0]) for event in stopped.events()]
    assert [kind for kind, _ in messages] == [
        *("started", "restarted_after_crash", "started", "restarted_after_crash"),
        *["restarted_after_crash"] * 3,
    ]
    assert "ended without notice" in messages[1][1]
    assert "lost power" in messages[3][1]


@pytest.mark.parametrize(
    ("runtimes", "said"),
    [
        ({"onnxruntime": "2"}, "judged on onnxruntime 1, but 2 is installed here; recalibrate it"),
        ({"ai-edge-litert": "2"}, "judged on onnxruntime 1, but onnxruntime is not installed here; install it"),
    ],
)
def test_a_runtime_that_is_another_one_now_makes_a_release_stale(
    local: LocalAgent, runtimes: dict[str, str], said: str
) -> None:
    local.want(1)
    local.settle()
    found = {"runtimes": runtimes, "formats": ["onnx"], "broken": {}, "confinement": []}
    local.agent.take_inventory(ChildExit(0, "exited", 0, "", 0.1), json.dumps(found))

    assert kinds(local) == [*FIRST_BOOT, "activated", "model_stale"]
    assert said in local.events()[-1].message


def test_a_shared_sensor_that_does_not_answer_is_lost_and_back(
    local: LocalAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [time.monotonic()]
    monkeypatch.setattr(self_report.time, "monotonic", lambda: now[0])
    gone = SourceState(state="waiting", code="source_lost", message="/dev/ttyUSB0 is \x1b[31mgone")
    local.handle(SensorSaid("imu", SourceState(state="open", rate_hz=50)))
    local.handle(SensorSaid("imu", gone))
    now[0] += GRACE_S + 1
    local.agent.tick()
    local.handle(SensorSaid("imu", SourceState(state="open", rate_hz=50)))
    now[0] += GRACE_S + 1
    local.agent.tick()

    lost, back = local.events()[1:]
    assert (lost.kind, lost.code, back.kind) == ("sensor_lost", "source_lost", "sensor_back")
    assert "gone" in lost.message
    assert lost.message.isprintable()


@pytest.mark.mosquitto
def test_events_outlive_the_agent_and_the_broker(tmp_path: Path, namespace: str, mosquitto: MosquittoBroker) -> None:
    """Killed, with the broker away: what it had to say arrives later, in order, each once."""
    broker = mosquitto
    garbage = tmp_path / "garbage.onnx"
    garbage.write_bytes(b"no model" * 1000)
    device = Device(tmp_path, broker.url, namespace, telemetry={"health_s": 1})
    with Ear(broker.url, f"{namespace}/d/{device.name}") as ear, device:
        ear.listen(lambda: ear.kinds == ["started"] and len(ear.health) > 1)
        push(device, garbage)
        ear.listen(lambda: ear.kinds == ["started", "failed"])
        broker.stop()
        device.kill()
        device.launch()
        deadline = time.monotonic() + 60
        while not any(b"restarted" in path.read_bytes() for path in (device.state / "events").glob("*.json")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        device.kill()  # again, before anybody was told
        device.launch()
        broker.start()
        ear.listen(lambda: ear.kinds[2:] == ["restarted_after_crash"] * 2)
        deadline = time.monotonic() + 60
        while list((device.state / "events").glob("*.json")):
            assert time.monotonic() < deadline, "what was acknowledged goes from the disk"
            time.sleep(0.05)
        device.stop()

    numbers = [event.event_seq for event in ear.events]
    assert numbers == sorted(set(numbers))
    assert (ear.events[1].code, ear.events[1].model) == ("model_unreadable", "har")
    last = ear.health[-1]
    assert last.uptime_s is not None
    assert last.agent_rss_bytes is not None
    assert 10 << 20 < last.agent_rss_bytes < 200 << 20
    shares = [sample.cpu_share for sample in ear.health if sample.cpu_share is not None]
    assert shares
    assert all(0 <= share <= 1 for share in shares)
    assert last.disk_free_bytes is not None
    assert len(list((device.state / "events").iterdir())) == 1
    assert not (device.state / "running").exists()


@pytest.mark.parametrize("health_s", [0, 3600])
def test_health_is_published_as_often_as_the_config_says(tmp_path: Path, health_s: int) -> None:
    agent = LocalAgent(tmp_path / "state", telemetry={"health_s": health_s}).boot()
    topic = TOPICS.device(DEVICE.name, "tele", "health")

    assert (topic in agent.link.retained) == (health_s > 0), "the first sample goes out with the first connection"
    agent.link.retained.pop(topic, None)
    agent.handle(Connected(session_present=True))
    agent.agent.tick()
    assert topic not in agent.link.retained
    agent.off()


def test_after_a_broker_that_ends_connections_at_telemetry_there_is_none_for_a_time(local: LocalAgent) -> None:
    local.want(1)
    local.settle()
    local.handle(Disconnected("the broker ends each connection", gave_up=True))
    local.link.retained.clear()
    local.handle(Connected(session_present=True))
    local.agent.info.publish()
    local.agent._report._look(publish=True)
    local.agent.tick()

    said = {topic.removeprefix("ea/v1/d/pi-01/").split("/")[0] for topic in local.link.retained}
    assert said == {"status", "info", "job"}


def test_events_do_not_wait_for_a_sample_that_is_published_once_an_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [time.monotonic()]
    monkeypatch.setattr(self_report.time, "monotonic", lambda: now[0])
    agent = LocalAgent(tmp_path / "state", telemetry={"health_s": 3600}).boot()
    topic = TOPICS.device(DEVICE.name, "tele", "health")
    agent.link.retained.pop(topic)
    read = self_report.Machine.read
    monkeypatch.setattr(self_report.Machine, "read", lambda machine: replace(read(machine), disk_free_bytes=0))
    now[0] += 61
    agent.agent.tick()

    assert kinds(agent) == [*FIRST_BOOT, "disk_low"]
    assert topic not in agent.link.retained
    agent.off()
