"""The broker's ACL that ``docs/broker.md`` shows: enough for the whole job, and not a message more.

mosquitto grants subscriptions that it will not serve, so what is tested is delivery.
"""

import re
import shutil
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.brokers import MOSQUITTO, MosquittoBroker
from support.device import DEMO_MODEL, SMALL_AND_EASY, Device, push
from support.fake_device import FakeDevice, ends
from support.fleets import Voice, eventually, running
from support.histories import count
from support.host import Ended, Host
from support.links import QueuedLink
from support.protocol import Protocol
from support.witness import Witness

from edge_agent.cli.check import Check
from edge_agent.cli.doctor_topics import check_topics
from edge_agent.mqtt import Connected, Incoming, Link
from edge_agent.settings.device import read_config
from edge_agent.wire.acl import line_for_device
from edge_agent.wire.messages import ActiveRelease, DeviceInfo
from edge_agent.wire.topics import Topics
from host_tools.broker.acl import line_for
from host_tools.broker.session import Session
from host_tools.broker.settings import Settings
from host_tools.cli.app import main
from host_tools.demo.simulator import SerialImu
from host_tools.fleet.reading import Said, read

PAGE = Path(__file__).parent.parent / "docs" / "broker.md"
USERS = ("operator", "dashboard", "home-assistant", "pi-01", "pi-02")

pytestmark = [pytest.mark.mosquitto, pytest.mark.slow]


def documented() -> str:
    """The page's ACL."""
    found = re.search(r"```\n# /etc/mosquitto/acl\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    return found[1]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., MosquittoBroker]]:
    """Start a mosquitto that knows these users, with an ACL."""
    if MOSQUITTO is None:
        pytest.skip("needs mosquitto: sudo apt install mosquitto")
    brokers: list[MosquittoBroker] = []

    def start(acl: str, *, anonymous: bool = False) -> MosquittoBroker:
        (tmp_path / "acl").write_text(acl)
        (tmp_path / "acl").chmod(0o600)
        passwords = tmp_path / "passwords"
        passwords.touch(0o600)
        tool = shutil.which("mosquitto_passwd") or "mosquitto_passwd"
        for user in USERS:
            subprocess.run([tool, "-b", passwords, user, "secret"], check=True, capture_output=True)
        (tmp_path / "password").write_text("secret\n")
        access = f"allow_anonymous {str(anonymous).lower()}"
        files = f"password_file {passwords}", f"acl_file {tmp_path / 'acl'}"
        brokers.append(MosquittoBroker(tmp_path, access, *files, "log_type all"))
        brokers[-1].start()
        return brokers[-1]

    yield start
    for broker in brokers:
        broker.kill()


@pytest.fixture
def broker(start: Callable[..., MosquittoBroker]) -> MosquittoBroker:
    """A mosquitto with the documented ACL."""
    return start(documented())


class Operator:
    """The host, logged in as the operator."""

    def __init__(
        self, broker: MosquittoBroker, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.host = Host(broker.url, "ea/v1", folder, monkeypatch, capsys)
        self._login = ("--username", "operator", "--password-file", str(folder / "password"))

    def run(self, *argv: str | Path) -> Ended:
        return self.host.run(main, *argv, *self._login)

    def push(self, model: Path, *whom: str) -> Ended:
        return self.run("push-model", model, "--manifest", self.host.manifest, *whom)


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
    settings = Settings(url=broker.url, username="operator", password_file=password)
    with Session(settings) as session:
        session.publish("ea/v1/g/lab/want/har", b"x")

        assert session.snapshot("ea/v1/g/+/want/+") == {"ea/v1/g/lab/want/har": b"x"}


def test_every_host_command_does_its_work(
    tmp_path: Path, broker: MosquittoBroker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a real agent; what the broker denied to anybody stands in its log, and all that is said is documented."""
    operator, password = Operator(broker, tmp_path, monkeypatch, capsys), str(tmp_path / "password")
    described = (DEMO_MODEL.with_name("har.toml")).read_text(encoding="utf-8")
    operator.host.write_manifest(described.split("[recipe]")[0] + SMALL_AND_EASY)
    login = {"username": "pi-01", "password_file": password}
    tables = {"mqtt": login, "telemetry": {"health_s": 1, "model_s": 1}}
    device = Device(tmp_path, broker.url, "ea/v1", login=("dashboard", password), **tables)
    with Witness(broker.url, "ea/v1", ("operator", "secret")) as witness, SerialImu(device.port), device:
        first = operator.push(DEMO_MODEL, "--device", "pi-01")
        second = operator.push(DEMO_MODEL, "--group", "lab")
        device.expect(DeviceInfo, lambda info: [one.version for one in info.active] == [2], 20)
        devices = operator.run("devices")
        watched = operator.run("watch", "--timeout", "1", "--json")
        report = operator.run("report", "har", "--json")
        rollback = operator.run("rollback", "har", "--device", "pi-01", "--timeout", "30")
        recalibrate = operator.run("recalibrate", "har", "--all", "--timeout", "30")
        job = recalibrate.out.split("job ")[1].split()[0].strip(".,;")
        cancel = operator.run("cancel", job, "--timeout", "30")
        purge = operator.run("purge", "--grace", "0", "--json")

    assert (first.exit, second.exit) == (0, 0), first.out + second.out
    assert "har 2 (accepted)" in " ".join(devices.out.split())
    assert watched.events[0]["version"] == 2
    assert '"version": 2' in report.out
    for ended in (rollback, recalibrate, cancel, purge):
        assert (ended.exit, ended.err) == (0, ""), ended.out
    assert "har 1 is active again" in rollback.out
    assert purge.events[0]["refused"] == []
    settings = Settings(url=broker.url, username="operator", password_file=password)
    with Session(settings) as session:
        assert session.snapshot("ea/v1/d/+/done/+", "ea/v1/d/+/cmd/+", "ea/v1/g/+/cmd/+") == {}
    assert [line for line in broker.log.read_text().splitlines() if "Denied" in line] == []
    protocol = Protocol("ea/v1")
    assert {f"{heard.topic}: {fault}" for heard in witness.heard for fault in protocol.faults_of(heard)} == set()
    channels = {protocol.channel(heard.topic) for heard in witness.heard}
    assert channels >= {
        "page",
        "chunk",
        "want",
        "group_want",
        "report",
        "status",
        "info",
        "command",
        "group_command",
        "model",
        "event",
        "health",
        "done",
    }


def test_a_device_describes_itself_to_home_assistant_and_nobody_else(tmp_path: Path, broker: MosquittoBroker) -> None:
    password = str(tmp_path / "password")
    mine, other = (f"homeassistant/device/edge-agent/{name}/config" for name in ("pi-01", "pi-02"))
    device = QueuedLink(broker.url, "device", login=("pi-01", password))
    home = QueuedLink(broker.url, "home", login=("home-assistant", password))
    with device, home:
        home.expect(Connected)
        home.link.subscribe("homeassistant/#", "ea/v1/d/#")
        device.expect(Connected)
        for topic in (other, "homeassistant/sensor/pi-01/config", "ea/v1/d/pi-01/status", mine):
            device.link.publish(topic, b"told", retain=True)

        told = {home.expect(Incoming).topic for _ in range(2)}

    assert told == {"ea/v1/d/pi-01/status", mine}


def test_the_devices_of_a_later_version_may_say_what_they_will(broker: MosquittoBroker, tmp_path: Path) -> None:
    said = ("d/pi-01/model/har", "d/pi-01/event", "d/pi-01/tele/health", "d/pi-01/tele/model/har")
    login = str(tmp_path / "password")
    with (
        QueuedLink(broker.url, "device", login=("pi-01", login)) as device,
        QueuedLink(broker.url, "eye", login=("dashboard", login)) as eye,
    ):
        eye.expect(Connected)
        eye.link.subscribe("ea/v1/d/#")
        device.expect(Connected)
        for topic in said:
            device.link.publish(f"ea/v1/{topic}", b"x", retain=True)

        heard = {eye.expect(Incoming).topic for _ in said}

    assert heard == {f"ea/v1/{topic}" for topic in said}


def test_the_line_that_is_named_is_one_of_the_documented_ones() -> None:
    topics, operator = Topics("ea/v1"), documented().split("user operator")[1].split("user dashboard")[0].splitlines()
    sha256 = "0" * 64
    written = (
        *(topics.chunk(sha256, 3), topics.page(sha256, 0), "ea/v1/d/pi-01/want/har", "ea/v1/g/lab/want/har"),
        *("ea/v1/d/pi-01/cmd/x", "ea/v1/g/lab/cmd/x", "ea/v1/d/pi-01/done/x"),
    )

    assert {line_for(topics, topic) for topic in written} == {line for line in operator if "write" in line}


ANYBODY = "topic readwrite #\n"
"""Before the first user: what devices without a name may do, so that only the operator is held by the ACL."""
ACTIVE = ActiveRelease("har", 3, "0" * 16, "accepted")


def test_what_cannot_be_tidied_up_is_told_and_changes_no_answer(
    tmp_path: Path,
    start: Callable[..., MosquittoBroker],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An ACL that was made for an earlier version: the operator may not clear ``done``."""
    lines = documented().split("user dashboard")[0].replace("topic write ea/v1/d/+/done/+\n", "")
    broker = start(ANYBODY + lines, anonymous=True)
    operator = Operator(broker, tmp_path, monkeypatch, capsys)
    script = [ends("succeeded", "accepted")]
    with FakeDevice(broker.url, "ea/v1", "pi-01", script, active=[ACTIVE], done=("", "har 2 is active again")) as pi:
        rollback = operator.run("rollback", "har", "--device", "pi-01")
        as_json = operator.run("rollback", "har", "--all", "--json")
        pushed = operator.push(operator.host.model, "--device", "pi-01", "--json")
        purge = operator.run("purge", "--json")

    left = [f"ea/v1/d/pi-01/done/{command.id}" for command in pi.commands]
    needs = 'its ACL needs the line "topic write ea/v1/d/+/done/+"'
    assert (rollback.exit, as_json.exit, pushed.exit) == (0, 0, 0)
    assert "har 2 is active again" in rollback.out
    assert rollback.err == f"the broker refused to clear {left[0]}; {needs}\n"
    assert as_json.events[-1]["devices"]["pi-01"] == {"code": "", "message": "har 2 is active again"}
    assert as_json.err == f"the broker refused to clear {left[1]}; {needs}\n"
    assert pushed.events[-1]["exit"] == 0
    assert [line for line in pushed.err.splitlines() if "refused" in line] == [
        f"the broker refused to clear {min(left)} and 1 more; {needs}"
    ]
    assert purge.exit == 3, "to clear is what it is for"
    assert purge.events[0]["refused"] == sorted(left)
    assert purge.events[0]["cleared_messages"] == []
    assert needs in purge.err
    assert "Denied PUBLISH" in broker.log.read_text(), "what the other test looks for"


def test_who_only_reads_may_export_and_collect(tmp_path: Path, broker: MosquittoBroker) -> None:
    pi, db = Voice("pi-01", Topics("ea/v1")), str(tmp_path / "history.db")
    who = ("--broker", broker.url, "--username", "dashboard", "--password-file", str(tmp_path / "password"))
    with (
        QueuedLink(broker.url, "pi-01", login=("pi-01", str(tmp_path / "password"))) as device,
        running("collect", "--db", db, *who) as collect,
        running("exporter", "--listen", "127.0.0.1:0", *who) as exporter,
    ):
        device.expect(Connected)
        for topic, payload in (pi.status(), pi.info(), pi.model()):
            assert device.link.publish(topic, payload, retain=True).wait(60)
        collect.said("storing the messages of")
        url = re.search(r"http://\S+", exporter.said("/metrics"))
        assert url

        def heard() -> bool:
            device.link.publish(*pi.event())
            device.link.publish(*pi.health())
            with urllib.request.urlopen(url[0], timeout=60) as answer:  # noqa: S310  # the exporter's, as it said
                there = {line.partition("{")[0] for line in answer.read().decode().splitlines()}
            tables = ("ea_events", "ea_health", "ea_model_states")
            metrics = {"edge_agent_events_total", "edge_agent_temperature_celsius", "edge_agent_model_info"}
            return all(count(db, table) for table in tables) and metrics <= there

        eventually(heard)
        assert (collect.end(), exporter.end()) == (0, 0)


def test_a_refusal_of_the_work_itself_names_the_topic_and_the_line(
    tmp_path: Path,
    start: Callable[..., MosquittoBroker],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = documented().split("user dashboard")[0].replace("topic readwrite ea/v1/b/#", "topic read ea/v1/b/#")
    broker = start(ANYBODY + lines, anonymous=True)
    operator = Operator(broker, tmp_path, monkeypatch, capsys)
    with FakeDevice(broker.url, "ea/v1", "pi-01"):
        pushed = operator.push(operator.host.model, "--device", "pi-01")

    assert pushed.exit == 3
    assert "broker_refused: the broker refused ea/v1/b/" in pushed.err
    assert 'its ACL needs the line "topic readwrite ea/v1/b/#"' in pushed.err


def examined(broker: MosquittoBroker, tmp_path: Path) -> Check:
    """What doctor says of the topics of pi-01."""
    config = tmp_path / "config.toml"
    config.write_text(
        f'device_id = "pi-01"\nstate_dir = "{tmp_path}/state"\n[trust]\nallow_unsigned = true\n'
        f'[mqtt]\nurl = "{broker.url}"\nusername = "pi-01"\npassword_file = "{tmp_path}/password"\n'
    )
    settings = read_config(config)
    link = Link(settings.mqtt, "doctor", on_event=lambda _event: None)
    link.start()
    try:
        link.wait_connected(10)
        return check_topics(link, settings)
    finally:
        link.stop()


def test_doctor_writes_to_each_topic_and_leaves_nothing(tmp_path: Path, broker: MosquittoBroker) -> None:
    with QueuedLink(broker.url, "eye", login=("dashboard", str(tmp_path / "password"))) as eye:
        eye.expect(Connected)
        eye.link.subscribe("ea/v1/d/#")
        check = examined(broker, tmp_path)
        heard = [eye.expect(Incoming) for _ in range(10)]

    assert (check.level, check.remedy) == ("ok", "")
    assert {message.topic.rpartition("/")[2] for message in heard if message.payload} == {"status", "info"}
    said = [read(Topics("ea/v1"), message.topic, message.payload) for message in heard]
    assert not any(isinstance(one, Said) and one.message for one in said)
    lines = [line for line in documented().split("user operator")[0].splitlines() if re.search("write ea/", line)]
    assert {line_for_device(Topics("ea/v1"), message.topic) for message in heard} == set(lines), "each documented line"
    assert [line for line in broker.log.read_text().splitlines() if "Denied" in line] == []
    settings = Settings(url=broker.url, username="operator", password_file=str(tmp_path / "password"))
    with Session(settings) as session:
        assert session.snapshot("ea/v1/#") == {}


@pytest.mark.parametrize(
    ("missing", "level"), [(("event", "tele/#", "model/+"), "warn"), (("job/+",), "fail"), (("cmd/+",), "fail")]
)
def test_doctor_names_the_lines_that_an_older_acl_lacks(
    tmp_path: Path, start: Callable[..., MosquittoBroker], missing: tuple[str, ...], level: str
) -> None:
    lines = [line for line in documented().splitlines() if not line.endswith(tuple(f"%u/{leaf}" for leaf in missing))]
    check = examined(start("\n".join(lines) + "\n"), tmp_path)

    assert check.level == level
    named = set(check.remedy.splitlines()[1:])
    assert named == set(documented().splitlines()) - set(lines)
    assert len(named) == len(missing)


def test_a_device_on_an_acl_that_knows_no_telemetry_goes_on_and_says_so_once(
    tmp_path: Path, start: Callable[..., MosquittoBroker]
) -> None:
    lines = [line for line in documented().splitlines() if not line.endswith(("%u/event", "%u/tele/#", "%u/model/+"))]
    broker, password = start("\n".join(lines) + "\n"), str(tmp_path / "password")
    garbage = tmp_path / "garbage.onnx"
    garbage.write_bytes(b"no model" * 1000)
    login = {"username": "pi-01", "password_file": password}
    device = Device(tmp_path, broker.url, "ea/v1", login=("dashboard", password), mqtt=login, telemetry={"health_s": 1})
    with device:
        push(device, garbage, login=("operator", password))
        assert device.end_of(1).code == "model_unreadable"

    said = [line for line in device.log.read_text().splitlines() if "refused a message" in line and "/event" in line]
    assert len(said) == 1
    assert 'its ACL needs the line "pattern write ea/v1/d/%u/event"' in said[0]
    waiting = sorted((device.state / "events").glob("*.json"))
    assert len(waiting) == 2, "they wait for an ACL that takes them: started, failed"
