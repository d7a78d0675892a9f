"""When the state of a model name is published: what is said is what is here, and no more often than it should be."""

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.agents import DEVICE, TOPICS, LocalAgent
from support.upgrades import FIXTURES, unpack

from edge_agent.daemon import model_states
from edge_agent.errors import StoreError
from edge_agent.execution.run import StageEnd
from edge_agent.jobs.job import Job, Progressed, Status
from edge_agent.jobs.task import Stage
from edge_agent.mqtt import Connected, Disconnected
from edge_agent.state.releases import Releases
from edge_agent.state.store import KEPT_JOBS
from edge_agent.wire.messages import decode
from edge_agent.wire.telemetry import ModelState


def topic(model: str) -> str:
    return TOPICS.device(DEVICE.name, "model", model)


class Listener:
    """What a dashboard knows of an agent's models; ``then`` answers the newest state."""

    then: Any

    def __init__(self, local: LocalAgent) -> None:
        self.local = local
        self.heard: list[tuple[str, bytes]] = []
        said = local.link.publish

        def publish(where: str, payload: bytes, **how: object) -> object:
            if "/model/" in where:
                assert (how["retain"], how["qos"]) == (True, 1)
                self.then = how["then"]
                self.heard.append((where, payload))
            return said(where, payload, **how)

        local.link.publish = publish  # type: ignore[assignment,method-assign]  # listens, and passes it on

    def state(self, model: str = "har") -> ModelState:
        return decode(self.local.link.retained[topic(model)], ModelState)

    def states(self, model: str = "har") -> list[ModelState]:
        return [decode(payload, ModelState) for where, payload in self.heard if where == topic(model) and payload]


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalAgent]:
    """An agent that may say every change at once."""
    monkeypatch.setattr(model_states, "REPORT_EVERY_S", 0)
    agent = LocalAgent(tmp_path / "state").boot()
    yield agent
    agent.off()


@pytest.fixture
def listener(local: LocalAgent) -> Listener:
    return Listener(local)


def test_a_job_is_followed_to_its_release(local: LocalAgent, listener: Listener) -> None:
    job = local.want(1)
    local.settle()

    said = [(state.stage, state.status, state.active_version) for state in listener.states()]
    assert (listener.states()[0].job, listener.states()[0].newest_version) == (job, 1)
    assert {stage for stage, _, _ in said} >= {"capture", "quantize", "activate"}
    end = listener.state()
    assert (end.status, end.verdict, end.code, end.progress) == ("succeeded", "accepted", "accepted", None)
    assert (end.active_version, end.method, end.runtime) == (1, "static", "onnxruntime 1")
    assert end.active_since
    assert "passed every gate" in end.message


def test_nothing_is_said_twice(local: LocalAgent, listener: Listener) -> None:
    local.want(1)
    local.settle()
    heard = len(listener.heard)
    for _ in range(5):
        local.agent.info.publish()
        local.agent.tick()

    assert len(listener.heard) == heard


def test_what_changes_fast_is_said_once_a_second(
    local: LocalAgent, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    local.stages.held = {Stage.CALIBRATE}
    job = local.want(1)
    while local.agent.jobs[job].stage is not Stage.CALIBRATE:
        local.step()
    local.agent.tick()
    monkeypatch.setattr(model_states, "REPORT_EVERY_S", 1000)
    heard = len(listener.heard)
    for number in range(50):
        local.agent.flow.apply(job, Progressed(number / 100))
        local.agent.tick()
    assert len(listener.heard) == heard

    monkeypatch.setattr(model_states, "REPORT_EVERY_S", 0)
    local.agent.tick()
    assert len(listener.heard) == heard + 1
    assert listener.state().progress == pytest.approx((2 + 0.49) / 7, abs=0.01)


def test_a_clean_stop_leaves_nothing_unsaid(
    local: LocalAgent, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ``run --once`` has it, which ends with its job."""
    monkeypatch.setattr(model_states, "REPORT_EVERY_S", 1000)
    local.want(1)
    local.settle()
    assert listener.state().verdict == ""

    local.agent.stop()

    assert listener.state().verdict == "accepted"


def test_a_rejected_version_leaves_what_is_active(local: LocalAgent, listener: Listener) -> None:
    local.want(1)
    local.settle()
    since = listener.state().active_since
    local.stages.ends[Stage.VALIDATE] = StageEnd("latency_too_high", "slower than float here", "refused", 0.1)
    local.want(2)
    local.settle()

    state = listener.state()
    assert (state.active_version, state.newest_version, state.active_since) == (1, 2, since)
    assert (state.job_version, state.verdict, state.message) == (2, "rejected", "slower than float here")


def test_a_rollback_is_a_change(local: LocalAgent, listener: Listener) -> None:
    for version in (1, 2):
        local.want(version)
        local.settle()
    before = listener.state()
    assert (before.active_version, before.previous_version) == (2, 1)

    answers: list[object] = []
    local.agent._local_commands._commands.roll_back("har", 2, answers.append, answers.append)
    while not answers:
        local.step()
    local.agent.tick()

    after = listener.state()
    assert (after.active_version, after.previous_version, after.newest_version) == (1, 0, 2)
    assert after.active_since > before.active_since, "since then, and not since it was made"


def test_a_connection_begins_with_all_of_it(local: LocalAgent, listener: Listener) -> None:
    for model in ("har", "gait"):
        local.want(1, model)
    local.settle()
    local.handle(Disconnected("the cable"))
    local.link.connected = False
    listener.heard.clear()
    local.link.retained.clear()
    local.want(2)
    local.settle()
    assert listener.heard == []

    local.link.connected = True
    local.handle(Connected(session_present=False))
    local.agent.tick()

    assert {where for where, _ in listener.heard} == {topic("har"), topic("gait")}
    assert len(listener.heard) == 2
    assert listener.state().active_version == 2


def test_a_name_of_which_nothing_is_left_is_cleared(local: LocalAgent, listener: Listener) -> None:
    """Also on a broker that did not hear of it at the time."""
    local.stages.ends[Stage.CAPTURE] = StageEnd("source_silent", "no samples", "failed", 0.1)
    local.want(1)
    local.settle()
    assert listener.state().verdict == "failed"

    local.agent._local_commands._commands.forget("har", 1e9, lambda _answer: None)
    local.agent.tick()
    assert local.link.retained[topic("har")] == b""

    listener.heard.clear()
    local.handle(Connected(session_present=True))
    assert listener.heard == [(topic("har"), b"")]


def test_a_forgotten_name_whose_release_is_active_says_so(local: LocalAgent, listener: Listener) -> None:
    local.want(1)
    local.settle()
    local.agent._local_commands._commands.forget("har", 1e9, lambda _answer: None)
    local.agent.tick()

    state = listener.state()
    assert (state.active_version, state.newest_version, state.job, state.status) == (1, 0, "", "")


def test_a_name_whose_last_job_is_no_longer_kept_is_cleared(local: LocalAgent, listener: Listener) -> None:
    local.stages.ends[Stage.CAPTURE] = StageEnd("source_silent", "no samples", "failed", 0.1)
    local.want(1, "gait")
    local.settle()
    for version in range(1, KEPT_JOBS + 1):
        local.want(version)
        local.settle()
    local.agent.tick()

    assert local.link.retained[topic("gait")] == b""
    assert listener.state().job_version == KEPT_JOBS


def test_a_release_that_is_taken_out_for_good_is_cleared(local: LocalAgent, listener: Listener) -> None:
    """Its job was forgotten before: nothing but the link was left of the name."""
    local.want(1)
    local.settle()
    local.agent._local_commands._commands.forget("har", 1e9, lambda _answer: None)
    local.agent.tick()
    releases = Releases(local.store.models, "har")
    releases.replace("release_corrupt", "")
    local.agent.info.publish()
    local.agent.tick()

    assert local.link.retained[topic("har")] == b""


@pytest.mark.parametrize("at", ["release.json", "report.json"])
def test_want_of_descriptors_unsays_nothing(
    local: LocalAgent, listener: Listener, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """A flood takes them all; the release is what it was."""
    local.want(1)
    local.settle()
    really = os.open

    def too_many(path: Any, *given: Any, **named: Any) -> int:
        if str(path).endswith(at):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return really(path, *given, **named)

    with monkeypatch.context() as flooded:
        flooded.setattr(os, "open", too_many)
        local.agent._model_states._measured.clear()
        local.handle(Connected(session_present=False))
        assert listener.state().active_version == 1
    before = len(listener.heard)
    local.handle(Connected(session_present=False))

    assert len(listener.heard) > before
    assert (listener.state().active_version, listener.state().method) == (1, "static")


def test_numbers_that_the_disk_did_not_give_are_read_again(
    local: LocalAgent, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    local.want(1)
    local.settle()
    states, really = local.agent._model_states, os.open

    def broken(path: Any, *given: Any, **named: Any) -> int:
        if str(path).endswith("report.json"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return really(path, *given, **named)

    with monkeypatch.context() as flaky:
        flaky.setattr(os, "open", broken)
        states._measured.clear()
        local.handle(Connected(session_present=False))
        assert listener.state().active_version == 1
        assert not states._measured
    local.handle(Connected(session_present=False))

    assert set(states._measured) == {"har"}


def test_a_report_that_the_disk_has_damaged_leaves_a_state_without_a_sentence(
    local: LocalAgent, listener: Listener
) -> None:
    job = local.want(1)
    local.settle()
    (local.store.job_dir(job) / "report.json").write_bytes(b'{"device":')
    local.link.retained.clear()
    local.handle(Connected(session_present=False))
    local.agent.tick()

    state = listener.state()
    assert (state.active_version, state.verdict, state.message) == (1, "accepted", "")


def test_a_state_that_could_not_be_read_is_said_as_soon_as_it_can_be(
    local: LocalAgent, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    local.want(1)
    local.settle()
    local.link.retained.clear()

    def unreadable(_job: Job) -> str:
        raise StoreError("state_unreadable", "report of job 1: Too many open files")

    with monkeypatch.context() as flooded:
        flooded.setattr(local.agent.ledger, "sentence", unreadable)
        local.handle(Connected(session_present=False))
        assert topic("har") not in local.link.retained
    local.agent.tick()

    assert listener.state().active_version == 1


def test_a_state_that_found_no_room_is_said_later(local: LocalAgent, listener: Listener) -> None:
    local.link.taken = False
    local.want(1)
    local.settle()
    local.link.taken = True
    local.agent.tick()

    assert listener.state().verdict == "accepted"


def test_a_broker_that_refuses_is_asked_once_a_connection(
    local: LocalAgent, listener: Listener, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    local.want(1)
    local.want(1, "gait")
    local.settle()
    monkeypatch.setattr(local.link, "refusal", lambda: "Not authorized")
    for _ in range(2):
        listener.heard.clear()
        local.handle(Connected(session_present=False))
        local.want(2)
        local.settle()
        assert len(listener.heard) == 1
    assert caplog.text.count("the broker accepts no states of models") == 2

    monkeypatch.setattr(local.link, "refusal", lambda: "")
    local.handle(Connected(session_present=False))
    local.agent.tick()
    assert listener.state().active_version == 2
    assert local.agent.jobs[listener.state().job].status is Status.SUCCEEDED


def test_a_state_that_the_broker_refuses_later_is_said_again(
    local: LocalAgent, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    local.want(1)
    local.settle()
    heard = len(listener.heard)
    listener.then("Quota exceeded")
    local.agent.tick()
    assert len(listener.heard) == heard, "not at once"

    monkeypatch.setattr(model_states, "_AGAIN_S", 0)
    listener.then("Quota exceeded")
    local.agent.tick()
    listener.then("")
    local.agent.tick()
    assert len(listener.heard) == heard + 1


def test_a_broker_is_asked_although_the_first_state_found_no_room(
    local: LocalAgent, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    local.want(1)
    local.settle()
    monkeypatch.setattr(local.link, "refusal", lambda: "Not authorized")
    local.link.taken = False
    local.handle(Connected(session_present=False))
    local.link.taken = True
    listener.heard.clear()
    for _ in range(3):
        local.want(2)
        local.settle()

    assert len(listener.heard) == 1


def test_a_device_of_version_0_1_0_says_what_it_knows(tmp_path: Path) -> None:
    made = unpack(FIXTURES / "v0_1_0" / "states.tar.xz", tmp_path / "states") / "settled"
    local = LocalAgent(Path(shutil.copytree(made, tmp_path / "state", symlinks=True)))
    local.boot()
    local.agent.tick()
    states = {
        model: decode(local.link.retained[topic(model)], ModelState) for model in ("har", "gait")
    }  # fmt: skip
    local.off()

    har = states["har"]
    assert (har.active_version, har.previous_version, har.newest_version) == (2, 1, 3)
    assert (har.job_version, har.status, har.code, har.verdict) == (3, "rejected", "latency_too_high", "rejected")
    assert har.message
    assert har.method in ("static", "dynamic", "uniform")
    for number in (har.p50_ms, har.float_p50_ms, har.agreement_lower, har.size_ratio, har.latency_ratio):
        assert number is not None
        assert number > 0
    assert states["gait"].active_version == 1
    assert msgspec.json.decode(local.link.retained[topic("har")])["v"] == 1
