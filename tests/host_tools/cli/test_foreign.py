"""What a device says of itself is data: it moves no cursor, is no markup, and ends no command of anybody else."""

import json
from pathlib import Path

import pytest
from support.brokers import Broker
from support.host import Host

from edge_agent.wire.messages import DeviceInfo, DeviceStatus, Done, JobReport, Refused, encode
from edge_agent.wire.topics import Topics
from host_tools.broker.session import Session
from host_tools.broker.settings import Settings
from host_tools.cli import app

HOSTILE = "[/nope]\x1b]0;owned\x07\x1b[2J\u202e[bold]\n:smile:"
LAYER = {"name": HOSTILE, "op": HOSTILE, "sqnr_db": 1.0, "cause": HOSTILE, "remedy": HOSTILE}
MODEL = {"method": HOSTILE, "runtime": HOSTILE, "float_layers": [HOSTILE], "size_bytes": 5}
GATE = {"name": HOSTILE, "value": 1.0, "limit": 2.0, "passed": False}
RESULTS = {
    "verdict": "rejected", "code": "class_lost", "message": HOSTILE, "layers": [LAYER], "reference": MODEL,
    "closest": {**MODEL, "gates": [GATE]},
    "data": {
        "warnings": [HOSTILE],
        "outputs": [{"name": HOSTILE, "kind": HOSTILE, "groups": [{"channels": HOSTILE}]}, {"name": "b", "kind": "c"}],
    },
}  # fmt: skip


@pytest.fixture
def host(
    one_broker: Broker,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Host:
    topics = Topics(namespace)
    refused = Refused(HOSTILE, "", HOSTILE, HOSTILE)
    said = [
        (topics.device("pi-1", "status"), DeviceStatus(device="pi-1", online=True, refused=refused, twin=HOSTILE)),
        (
            topics.device("pi-1", "info"),
            DeviceInfo(device="pi-1", board=HOSTILE, groups=[HOSTILE], sources={HOSTILE: {}}, highest={"har": 2}),
        ),
        (topics.device("pi-1", "done", "c"), Done(device="pi-1", command="c", code=HOSTILE, message=HOSTILE)),
    ]
    for number, status in enumerate(("rejected", HOSTILE)):
        report = JobReport(
            device="pi-1", job=f"{number:016x}", model="har", version=1 + number, stage=HOSTILE, status=status,
            code=HOSTILE, message=HOSTILE, detail=HOSTILE, release=HOSTILE, seconds={HOSTILE: 1.0}, results=RESULTS,
            started=f"2026-01-0{1 + number}T00:00:00Z",
        )  # fmt: skip
        said.append((topics.device("pi-1", "job", report.job), report))
    with Session(Settings(url=one_broker.url, namespace=namespace)) as session:
        for topic, message in said:
            session.publish(topic, encode(message))
    return Host(one_broker.url, namespace, tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize(
    "argv",
    [["devices"], ["report", f"{0:016x}"], ["report", "har"], ["watch", "--timeout", "2"], ["report", "nothing"]],
    ids=" ".join,
)
def test_hostile_words_are_shown_and_do_nothing(host: Host, argv: list[str]) -> None:
    ended = host.run(app.main, *argv)

    shown = ended.out + ended.err
    assert ended.exit == (2 if "nothing" in argv else 0)
    assert "[/nope]" in shown or "nothing" in argv
    assert all(line.isprintable() for line in shown.splitlines())


def test_json_has_the_same_words(host: Host) -> None:
    ended = host.run(app.main, "report", "har", "--json")

    (report,) = json.loads(ended.out)
    assert report["status"] == "[/nope]�]0;owned��[2J�[bold] :smile:"


@pytest.mark.parametrize(
    "argv",
    [
        ["report", "har", "--device", "+"],
        ["watch", "--job", "#"],
        ["rollback", "../har", "--device", "pi-1"],
        ["cancel", "+"],
        ["devices", "--group", "a/b"],
    ],
    ids=" ".join,
)
def test_a_name_on_a_command_line_is_no_wildcard_and_no_path(host: Host, argv: list[str]) -> None:
    ended = host.run(app.main, *argv)

    assert ended.exit == 2
    assert "must match [a-z0-9]" in ended.err
