"""``host-tools``: devices, watch, report, commands, purge, keygen, on real brokers."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.brokers import Broker
from support.fake_device import FakeDevice, Say, ends
from support.host import Ended, Host

from edge_agent.wire.chunks import CHUNK_BYTES
from edge_agent.wire.envelope import COMMAND_TYPE, seal, unseal
from edge_agent.wire.messages import ActiveRelease, Command, JobReport, encode
from edge_agent.wire.topics import Scope, Topics
from host_tools.broker.job_tracker import Progress
from host_tools.broker.registry import read_reports
from host_tools.broker.session import Session
from host_tools.broker.settings import Settings
from host_tools.cli.app import main
from host_tools.display.progress import JsonDisplay
from host_tools.push.waiting import message_of

MakeDevice = Callable[..., FakeDevice]
HAR_3 = ActiveRelease("har", 3, "0" * 16, "accepted")


@pytest.fixture
def host(
    broker: Broker, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Host:
    return Host(broker.url, namespace, tmp_path, monkeypatch, capsys)


@pytest.fixture
def device(broker: Broker, namespace: str) -> MakeDevice:
    def make(name: str, *script: Say, **more: Any) -> FakeDevice:
        return FakeDevice(broker.url, namespace, name, script, **more)

    return make


def tools(host: Host, *argv: str | Path) -> Ended:
    return host.run(main, *argv)


def once_shown(host: Host, then: Callable[[], None]) -> None:
    """Have something happen when a command has shown its first progress."""
    shown, show = list[Progress](), JsonDisplay.progress

    def showing(display: JsonDisplay, progress: Progress) -> None:
        show(display, progress)
        shown.append(progress)
        if len(shown) == 1:
            then()

    host.monkeypatch.setattr(JsonDisplay, "progress", showing)


def retained(host: Host, *filters: str) -> dict[str, bytes]:
    with Session(Settings(url=host.url, namespace=host.namespace)) as session:
        return session.snapshot(*(f"{host.namespace}/{name}" for name in filters))


def test_devices_are_listed_with_what_they_are(host: Host, device: MakeDevice) -> None:
    with device("pi-02"):
        pass
    with device("pi-01", groups=["lab"], active=[HAR_3]):
        table = tools(host, "devices")
        as_json = tools(host, "devices", "--json")
        lab = tools(host, "devices", "--group", "lab", "--json")

    rows = {row["device"]: row for row in json.loads(as_json.out)}
    assert table.exit == 0
    assert "har 3 (accepted)" in " ".join(table.out.split())
    assert rows["pi-01"]["online"] is True
    assert rows["pi-02"]["online"] is False
    assert rows["pi-01"]["runtimes"] == {"onnxruntime": "1.32.0"}
    assert [row["device"] for row in json.loads(lab.out)] == ["pi-01"]


def test_a_report_is_found_by_job_and_by_model(host: Host, device: MakeDevice) -> None:
    with device("pi-01", ends("rejected", "agreement_too_low")):
        job = host.push("--device", "pi-01", "--json").events[-1]["job"]
        by_job = tools(host, "report", job)
        by_model = tools(host, "report", "har", "--json")
        unknown = tools(host, "report", "hat")
        nobody = tools(host, "report", "har", "--device", "pi-0l")

    assert nobody.exit == 2
    assert "no device 'pi-0l' has ever spoken here; did you mean 'pi-01'" in nobody.err
    assert by_job.exit == by_model.exit == 0
    assert "rejected agreement_too_low" in by_job.out
    assert json.loads(by_model.out)[0]["job"] == job
    assert unknown.exit == 2
    assert "did you mean 'har'" in unknown.err


def test_no_device_speaks_for_another(host: Host, device: MakeDevice) -> None:
    """A broker lets a device write to its own topics only; what it calls itself there is its own affair."""
    forged = JobReport(device="pi-01", job="f" * 16, model="har", version=9, stage="activate", status="succeeded")
    topic = f"{host.namespace}/d/pi-02/job/{forged.job}"
    with device("pi-01"), Session(Settings(url=host.url, namespace=host.namespace)) as session:
        session.publish(topic, encode(forged))

        assert message_of(session, topic, encode(forged)) is None
        assert read_reports(session) == []


def test_watching_a_job_ends_as_its_push_would(host: Host, device: MakeDevice) -> None:
    job = "0123456789abcdef"
    with device("pi-01") as pi:
        pi.report(job, stage="capture", progress=0.25)
        once_shown(host, lambda: pi.report(job, status="rejected", code="latency_too_high"))
        ended = tools(host, "watch", "--job", job, "--json")
        unknown = tools(host, "watch", "--job", "0123456789abcdee")

    assert ended.exit == 4
    assert [event["status"] for event in ended.events[:-1]] == ["in_progress", "rejected"]
    assert unknown.exit == 2
    assert f"did you mean {job!r}" in unknown.err


def test_watching_devices_shows_every_job(host: Host, device: MakeDevice) -> None:
    with device("pi-01") as pi, device("pi-02") as other:
        pi.report("a" * 16, started="2026-01-01T00:00:00Z", stage="capture")

        def later() -> None:
            other.report("c" * 16)
            pi.report("b" * 16, started="2026-01-02T00:00:00Z", stage="validate")

        once_shown(host, later)
        ended = tools(host, "watch", "pi-01", "--timeout", "3", "--json")

    seen = [event.get("job") for event in ended.events if event["event"] == "report"]
    assert ended.exit == 0
    assert seen == ["a" * 16, "b" * 16]


def test_a_rollback_names_the_active_version_and_is_cleared_when_done(host: Host, device: MakeDevice) -> None:
    with device("pi-01", active=[HAR_3], done=("", "har 2 is active again")) as pi:
        ended = tools(host, "rollback", "har", "--device", "pi-01")

    assert ended.exit == 0, ended.err
    assert "har 2 is active again" in ended.out
    assert [(one.action, one.model, one.version, one.targets) for one in pi.commands] == [
        ("rollback", "har", 3, ["d/pi-01"])
    ]
    assert pi.commands[0].expires > pi.commands[0].created
    assert retained(host, "d/+/done/+", "d/+/cmd/+") == {}


def test_a_command_that_a_device_cannot_obey(host: Host, device: MakeDevice) -> None:
    with device("pi-01", active=[HAR_3], done=("no_previous", "no previous release of 'har' on disk")):
        ended = tools(host, "rollback", "har", "--device", "pi-01", "--json")
        absent = tools(host, "rollback", "vad", "--device", "pi-01")

    assert ended.exit == 5
    assert ended.events[-1]["devices"]["pi-01"]["code"] == "no_previous"
    assert absent.exit == 2
    assert "not_active" in absent.err


def test_different_active_versions_need_a_named_one(host: Host, device: MakeDevice) -> None:
    other = ActiveRelease("har", 4, "1" * 16, "accepted")
    with device("pi-01", active=[HAR_3]) as one, device("pi-02", active=[other]) as two:
        vague = tools(host, "recalibrate", "har", "--all")
        exact = tools(host, "recalibrate", "har", "--all", "--version", "4")

    assert vague.exit == 2
    assert "pi-01 3, pi-02 4" in vague.err
    assert exact.exit == 0
    assert [command.version for command in one.commands + two.commands] == [4, 4]
    assert retained(host, "g/+/cmd/+") == {}, "all have answered, so the group's command is cleared"


def test_forget_asks_for_no_version(host: Host, device: MakeDevice) -> None:
    """A name whose version none can follow may be active nowhere."""
    with device("pi-01") as one:
        ended = tools(host, "forget", "har", "--all", "--json")

    assert ended.exit == 0, ended.err
    assert [(command.action, command.model, command.version) for command in one.commands] == [("forget", "har", 0)]


@pytest.mark.parametrize("number", [["--version", "99999999999999999999"], ["--expires", "1e300"]])
def test_a_number_that_no_device_could_read_is_a_usage_error(host: Host, number: list[str]) -> None:
    assert tools(host, "rollback", "har", "--device", "pi-01", *number).exit == 2


def test_a_command_waits_for_an_offline_device(host: Host, device: MakeDevice) -> None:
    with device("pi-01", active=[HAR_3]):
        pass

    ended = tools(host, "rollback", "har", "--device", "pi-01", "--timeout", "0.3")

    assert ended.exit == 7
    assert "offline" in ended.out
    assert len(retained(host, "d/pi-01/cmd/+")) == 1, "it is obeyed when the device is back"


def test_cancel_finds_the_devices_that_work_on_the_job(host: Host, device: MakeDevice) -> None:
    job = "0123456789abcdef"
    with device("pi-01") as busy, device("pi-02") as idle:
        busy.report(job, stage="capture")
        ended = tools(host, "cancel", job)
        busy.report(job, status="canceled", code="canceled")
        late = tools(host, "cancel", job)

    assert ended.exit == 0
    assert [command.job for command in busy.commands] == [job]
    assert idle.commands == []
    assert late.exit == 2
    assert "it has ended as canceled" in late.err


def test_keygen_and_a_signed_command(host: Host, device: MakeDevice, tmp_path: Path) -> None:
    made = host.run_bare(main, "keygen", tmp_path / "operator", "--json")
    with device("pi-01", active=[HAR_3], done=None):
        tools(host, "rollback", "har", "--device", "pi-01", "--sign", tmp_path / "operator.key", "--timeout", "0.2")
    again = host.run_bare(main, "keygen", tmp_path / "operator")

    assert made.exit == 0
    (public,) = tmp_path.glob("*.pem")
    assert str(public) == json.loads(made.out)["public"]
    assert again.exit == 2


def test_purge_clears_what_no_want_names_once_its_grace_is_over(host: Host, device: MakeDevice) -> None:
    host.model.write_bytes(bytes(2 * CHUNK_BYTES))
    old = hashlib.sha256(host.model.read_bytes()).hexdigest()
    with device("pi-01"):
        host.push("--device", "pi-01", "--no-wait")
        host.model.write_bytes(b"new" * CHUNK_BYTES)
        host.push("--device", "pi-01", "--no-wait")
        early = tools(host, "purge", "--json")
        dry = tools(host, "purge", "--grace", "0", "--dry-run", "--json")
        held = retained(host, f"b/{old}/+/+")
        now = tools(host, "purge", "--grace", "0", "--json")

    new = hashlib.sha256(host.model.read_bytes()).hexdigest()
    assert early.events[0]["cleared_blobs"] == []
    assert early.events[0]["waiting_blobs"] == [old]
    assert dry.events[0]["cleared_blobs"] == [old]
    assert len(held) == 3
    assert now.events[0]["cleared_blobs"] == [old]
    assert now.events[0]["kept_blobs"] == 1
    assert retained(host, f"b/{old}/+/+") == {}
    assert len(retained(host, f"b/{new}/+/+")) == 4


def test_a_day_later_the_next_push_purges(host: Host, device: MakeDevice) -> None:
    first = hashlib.sha256(host.model.read_bytes()).hexdigest()
    with device("pi-01"):
        host.push("--device", "pi-01", "--no-wait")
        host.model.write_bytes(b"second")
        host.push("--device", "pi-01", "--no-wait")
        record = host.folder / "state" / "edge-agent" / "unreferenced.json"
        seen = json.loads(record.read_text(encoding="utf-8"))
        (place,) = seen
        assert list(seen[place]) == [first]
        seen[place][first] -= 25 * 3600
        record.write_text(json.dumps(seen), encoding="utf-8")
        host.push("--device", "pi-01", "--no-wait")

    assert retained(host, f"b/{first}/+/+") == {}


def test_purge_keeps_the_blob_of_a_want_that_is_not_expired_and_drops_an_expired_one(
    host: Host, device: MakeDevice
) -> None:
    with device("pi-01"):
        host.push("--device", "pi-01", "--no-wait", "--expires", "0.001")
    deadline_passed = time.time() + 200 * 86400
    host.monkeypatch.setattr("host_tools.broker.purge.time.time", lambda: deadline_passed)

    purged = tools(host, "purge", "--grace", "0", "--json")

    assert len(purged.events[0]["cleared_blobs"]) == 1
    assert len(retained(host, "d/+/want/+")) == 1, "wants are never touched"


def test_purge_clears_commands_that_are_over(host: Host) -> None:
    topics = Topics(host.namespace)
    with Session(Settings(url=host.url, namespace=host.namespace)) as session:
        for id_, expires in (("old", "2020-01-01T00:00:00Z"), ("new", "2999-01-01T00:00:00Z")):
            command = Command(namespace=host.namespace, id=id_, action="cancel", job="x", expires=expires)
            session.publish(topics.command(Scope("g", "lab"), id_), seal(encode(command), COMMAND_TYPE))
            session.publish(topics.device("pi-01", "done", id_), b"{}")
        session.publish(topics.command(Scope("g", "lab"), "strange"), b"not ours")

    purged = tools(host, "purge", "--json")

    assert purged.events[0]["cleared_messages"] == [
        f"{host.namespace}/d/pi-01/done/old", f"{host.namespace}/g/lab/cmd/old"
    ]  # fmt: skip
    assert {topic.rsplit("/", 1)[1] for topic in retained(host, "g/+/cmd/+", "d/+/done/+")} == {"new", "strange"}


def test_ctrl_c_leaves_the_job_running_and_says_how_to_watch(host: Host, device: MakeDevice) -> None:
    argv = ["push-model", str(host.model), "--manifest", str(host.manifest), "--device", "pi-01"]
    argv += ["--broker", host.url, "--namespace", host.namespace]
    with device("pi-01", Say({"stage": "capture"})) as pi:
        process = subprocess.Popen(
            [sys.executable, "-c", "from host_tools.cli.app import main; main()", *argv],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ},
        )  # fmt: skip
        assert process.stderr is not None
        lines = [process.stderr.readline()]
        while "capture" not in lines[-1] and lines[-1]:
            lines.append(process.stderr.readline())
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "host-tools watch --job" in err
    assert pi.commands == []
    assert "Traceback" not in err


def test_push_model_is_a_host_tool_too(host: Host, device: MakeDevice) -> None:
    with device("pi-01", ends("succeeded", "accepted")) as pi:
        ended = tools(host, "push-model", host.model, "--manifest", host.manifest, "--device", "pi-01")

    assert ended.exit == 0
    assert len(pi.wants) == 1


def test_a_signed_want_carries_its_signature(host: Host, device: MakeDevice, tmp_path: Path) -> None:
    keyid = json.loads(host.run_bare(main, "keygen", tmp_path / "operator", "--json").out)["keyid"]
    with device("pi-01", ends("succeeded", "accepted")) as pi:
        host.push("--device", "pi-01", "--sign", tmp_path / "operator.key")

    (signature,) = unseal(pi.envelopes[0], "application/vnd.edge-agent.manifest.v1+json").signatures
    assert signature.keyid == keyid
