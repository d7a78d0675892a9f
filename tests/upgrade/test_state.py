"""A device of version 0.1.0 gets this version while it is at rest: all that is on its disk is understood.

The state directory is one that a daemon of that version left, see ``tests/fixtures/v0_1_0/make_states.py``.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.agents import DEVICE, TOPICS, LocalAgent
from support.upgrades import FIXTURES, tree, unpack

from edge_agent import serving
from edge_agent.cli import main
from edge_agent.jobs.job import Status
from edge_agent.jobs.task import Stage
from edge_agent.mqtt import Incoming
from edge_agent.state.releases import Releases
from edge_agent.wire.envelope import COMMAND_TYPE, MANIFEST_TYPE, seal
from edge_agent.wire.messages import Command, DeviceInfo, DeviceStatus, Done, decode, encode

MADE = FIXTURES / "v0_1_0"
ENDED = {
    ("har", 1): "accepted", ("har", 2): "accepted", ("har", 3): "latency_too_high",
    ("gait", 1): "accepted", ("gait", 2): "accepted",
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(MADE / "states.tar.xz", tmp_path_factory.mktemp("states")) / "settled"


@pytest.fixture
def state(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "state", symlinks=True))


@pytest.fixture
def local(state: Path) -> Iterator[LocalAgent]:
    agent = LocalAgent(state).boot()
    yield agent
    agent.off()


def test_a_boot_changes_nothing(made: Path, local: LocalAgent) -> None:
    """Not a byte, a mode or a link; what is new may be added. A release that was rolled back is collected."""
    before, after = tree(made), tree(local.store.root)
    before = {name: what for name, what in before.items() if "gait/releases/2-" not in name}

    assert len(before) > 30
    assert {name: after.get(name) for name in before} == before
    assert {(job.model, job.version): job.code for job in local.agent.jobs.values()} == ENDED
    assert not local.stages.runs


def test_reports_are_said_again_as_they_were(made: Path, local: LocalAgent) -> None:
    kept = {path.parent.name: path.read_bytes() for path in made.glob("jobs/*/report.json")}

    assert len(kept) == len(ENDED)
    assert {job: local.link.retained[TOPICS.device(DEVICE.name, "job", job)] for job in kept} == kept


def test_the_device_says_what_it_has(local: LocalAgent) -> None:
    info = decode(local.link.retained[TOPICS.device(DEVICE.name, "info")], DeviceInfo)

    active = {(one.model, one.version, one.verdict, one.runtime.split()[0]) for one in info.active}
    assert active == {("har", 2, "accepted", "onnxruntime"), ("gait", 1, "accepted", "onnxruntime")}
    assert info.highest == {"har": 3, "gait": 2}


def test_what_stands_on_the_broker_is_known(made: Path, local: LocalAgent) -> None:
    """The newest want of each model comes again at every connect: one was refused by its gates, one rolled back."""
    jobs = dict(local.agent.jobs)
    newest = [job for job in jobs.values() if (job.model, job.version) in (("har", 3), ("gait", 2))]
    for job in newest:
        content = (made / "jobs" / job.id / "manifest.json").read_bytes()
        local.handle(Incoming(TOPICS.want(DEVICE, job.model), seal(content, MANIFEST_TYPE), retained=True))

    assert len(newest) == local.link.acknowledged == 2
    assert local.agent.jobs == jobs
    assert decode(local.link.retained[TOPICS.device(DEVICE.name, "status")], DeviceStatus).refused is None


def test_a_command_that_was_obeyed_is_not_obeyed_again(local: LocalAgent) -> None:
    ends = {}
    for number, model in enumerate(("gait", "nobody"), 1):
        command = Command(
            namespace="ea/v1", id=f"c-{number}", action="rollback", model=model, targets=[str(DEVICE)],
            expires="2099-01-01T00:00:00Z",
        )  # fmt: skip
        topic = TOPICS.command(DEVICE, command.id)
        local.handle(Incoming(topic, seal(encode(command), COMMAND_TYPE), retained=True))
        ends[command.id] = decode(local.link.retained[TOPICS.device(DEVICE.name, "done", command.id)], Done)

    assert [end.code for end in ends.values()] == ["", "not_active"]
    assert ends["c-1"].message == "gait 1 is active again"


def test_applications_go_on(state: Path) -> None:
    """The answers are those of that version, but for how processors round."""
    expected = json.loads((MADE / "expected.json").read_text(encoding="ascii"))
    model = serving.load("har", state_dir=state)

    answers = np.concatenate([model(np.array(window, np.float32)) for window in expected["windows"]])

    assert model.release.version == 2
    assert answers.shape == (4, 4)
    assert np.abs(answers - expected["answers"]).max() < 0.05 * np.abs(expected["answers"]).max()


def test_an_operator_rolls_back_to_the_previous_release(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = state.with_name("config.toml")
    config.write_text(f'device_id = "pi-01"\nstate_dir = "{state}"\n')

    assert main(["releases", "har", "--config", str(config)]) == 0
    assert main(["rollback", "har", "--config", str(config)]) == 0

    active = Releases(state / "models", "har").active()
    assert active is not None
    assert (active.version, active.previous) == (1, "")
    assert "har 1 is active again" in capsys.readouterr().out


def test_a_release_is_calibrated_anew_with_what_is_there(local: LocalAgent) -> None:
    """Its manifest and its float model are on the disk; nobody has to push them."""
    known = set(local.agent.jobs)
    command = Command(
        namespace="ea/v1", id="c-9", action="recalibrate", model="har", version=2, targets=[str(DEVICE)],
        expires="2099-01-01T00:00:00Z",
    )  # fmt: skip
    local.stages.held = {Stage.CAPTURE}
    local.handle(Incoming(TOPICS.command(DEVICE, "c-9"), seal(encode(command), COMMAND_TYPE), retained=True))
    while not local.stages.runs:
        local.step()

    job, _ = local.stages.runs[0]
    assert job.id not in known
    assert (job.version, job.stage, job.status) == (2, Stage.CAPTURE, Status.IN_PROGRESS)


def test_a_newer_version_follows(local: LocalAgent) -> None:
    job = local.want(4)
    local.settle()

    active = Releases(local.store.models, "har").active()
    assert active is not None
    assert (active.job, active.previous[:2]) == (job, "2-")
    assert [release.version for release in Releases(local.store.models, "har").all()] == [2, 4]
