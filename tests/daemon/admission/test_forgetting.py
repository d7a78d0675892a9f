"""A model's name that begins anew, signed or from the device itself; a clock that is taken back."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.agents import DEVICE, TOPICS, LocalAgent, wanted

from edge_agent.daemon.control_socket import ControlRequest
from edge_agent.mqtt import Incoming
from edge_agent.state.releases import Releases
from edge_agent.wire.envelope import COMMAND_TYPE, MANIFEST_TYPE, seal
from edge_agent.wire.manifest import MAX_VERSION, Manifest, encode_manifest
from edge_agent.wire.messages import Command, DeviceInfo, DeviceStatus, Done, decode, encode
from edge_agent.wire.timestamps import rfc3339


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalAgent]:
    agent = LocalAgent(tmp_path / "state").boot()
    yield agent
    agent.off()


def poisoned(local: LocalAgent) -> Manifest:
    """A version that none can follow, accepted and active."""
    manifest = wanted(MAX_VERSION, created=rfc3339(time.time()))
    local.deliver(manifest)
    local.settle()
    assert info(local).highest == {"har": MAX_VERSION}
    return manifest


def info(local: LocalAgent) -> DeviceInfo:
    return decode(local.link.retained[TOPICS.device(DEVICE.name, "info")], DeviceInfo)


def refused(local: LocalAgent) -> str:
    status = decode(local.link.retained[TOPICS.device(DEVICE.name, "status")], DeviceStatus)
    return status.refused.code if status.refused else ""


def forget(local: LocalAgent, model: str = "har", **fields: str) -> Done:
    now = time.time()
    said = Command(
        namespace="ea/v1", id="c1", action="forget", model=model, targets=[str(DEVICE)],
        created=rfc3339(now), expires=rfc3339(now + 60), **fields,
    )  # fmt: skip
    topic = TOPICS.command(DEVICE, "c1")
    local.handle(Incoming(topic, seal(encode(said), COMMAND_TYPE), retained=False))
    return decode(local.link.retained[TOPICS.device(DEVICE.name, "done", "c1")], Done)


def ask(local: LocalAgent, action: str, subject: str = "") -> dict[str, object]:
    request = ControlRequest(action, subject)
    local.handle(request)
    return request.answers.get(timeout=60)


def test_a_forgotten_name_begins_anew(local: LocalAgent) -> None:
    old = poisoned(local)

    assert forget(local).code == ""

    assert info(local).highest == {}
    assert local.link.retained[TOPICS.device(DEVICE.name, "job", next(iter(jobs(local))))] == b""
    assert (active := Releases(local.store.models, "har").active())
    assert active.version == MAX_VERSION, "what is active stays active"
    local.deliver(old)
    assert (refused(local), len(local.agent.jobs)) == ("", 0), "the order that was signed before must not come again"
    local.handle(Incoming(TOPICS.want(DEVICE, "har"), seal(encode_manifest(old), MANIFEST_TYPE), retained=False))
    assert (refused(local), len(local.agent.jobs)) == ("downgrade", 0)
    time.sleep(0.01)
    local.deliver(wanted(1, created=rfc3339(time.time())))
    local.settle()
    assert info(local).highest == {"har": 1}


def jobs(local: LocalAgent) -> list[str]:
    """The jobs that were reported, by the topics that hold or held a report."""
    prefix = TOPICS.device(DEVICE.name, "job", "x").removesuffix("x")
    return [topic.removeprefix(prefix) for topic in local.link.retained if topic.startswith(prefix)]


def test_it_is_forgotten_for_good(tmp_path: Path) -> None:
    local = LocalAgent(tmp_path / "state").boot()
    old = poisoned(local)
    assert ask(local, "forget", "har")["ok"]
    local.off()

    again = LocalAgent(tmp_path / "state").boot()
    again.deliver(old)

    assert not again.agent.jobs
    again.off()


def test_its_wants_are_fetched_again(local: LocalAgent) -> None:
    poisoned(local)
    forget(local)

    local.agent.tick()

    assert TOPICS.want(DEVICE, "har") in local.link.filters


def test_a_job_under_way_ends(local: LocalAgent) -> None:
    local.deliver(wanted(5), blob=False)

    assert ask(local, "forget", "har")["ok"]

    assert not local.agent.jobs


@pytest.mark.parametrize("subject", ["gait", "../x", ""])
def test_a_name_that_is_not_known_is_not_forgotten(local: LocalAgent, subject: str) -> None:
    assert ask(local, "forget", subject)["code"] in ("not_active", "malformed")


def test_a_recalibration_does_not_bring_the_version_back(local: LocalAgent) -> None:
    poisoned(local)
    forget(local)

    assert ask(local, "recalibrate", "har")["ok"]
    local.settle()

    assert info(local).highest == {}


def test_the_refusal_of_what_has_expired_says_what_time_it_is_here(local: LocalAgent) -> None:
    local.deliver(wanted(1, expires="2001-01-01T00:00:00Z"))

    status = decode(local.link.retained[TOPICS.device(DEVICE.name, "status")], DeviceStatus)

    assert status.refused is not None
    assert status.refused.code == "expired"
    assert f"this device's clock says {rfc3339(time.time())[:10]}" in status.refused.message


def test_a_device_that_was_told_a_wrong_time_takes_pushes_again_after_a_reset(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "clock").write_text("4070908800")  # 2099, as an older version kept it
    local = LocalAgent(tmp_path / "state").boot()
    manifest = wanted(1, expires=rfc3339(time.time() + 3600))
    local.deliver(manifest)
    status = decode(local.link.retained[TOPICS.device(DEVICE.name, "status")], DeviceStatus)
    assert status.refused is not None
    assert "edge-agent clock --reset" in status.refused.message
    assert "2099-01-01T00:00:00Z" in status.refused.message

    assert ask(local, "clock-reset")["ok"]
    local.agent.tick()
    assert set(TOPICS.orders(DEVICE)) <= local.link.filters
    local.deliver(manifest)
    local.settle()

    assert [job.version for job in local.agent.jobs.values()] == [1]
    local.off()


def test_a_date_beyond_what_can_be_written_breaks_no_status(local: LocalAgent) -> None:
    local.deliver(wanted(1, created="9999-12-31T23:59:59-23:59", expires="9999-12-31T23:59:59-23:59"))

    assert refused(local) == "malformed"


def test_a_want_of_a_far_date_does_not_end_a_name_for_good(local: LocalAgent) -> None:
    """What was accepted before is over, whatever it is dated; to ask once more takes that date back."""
    local.deliver(wanted(5, created="2099-01-01T00:00:00Z"))
    local.settle()
    assert forget(local).code == ""
    local.deliver(wanted(5, created="2099-01-01T00:00:00Z"))
    local.deliver(wanted(6, created=rfc3339(time.time())))
    assert not local.agent.jobs
    assert refused(local) == "downgrade"

    assert ask(local, "forget", "har")["ok"]
    local.deliver(wanted(7, created=rfc3339(time.time() + 1)))

    assert [job.version for job in local.agent.jobs.values()] == [7]
