"""A labelled set on its way: uploaded once beside its model, fetched after it, resumed, kept, and cleared again."""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.agents import DEVICE, MODEL, TOPICS, LocalAgent, wanted
from support.brokers import Broker
from support.fake_device import FakeDevice, ends
from support.host import MANIFEST, Host
from support.transfers import describe

from edge_agent.jobs.job import Status
from edge_agent.jobs.task import Stage
from edge_agent.mqtt import Incoming
from edge_agent.state.store import Store
from edge_agent.wire.chunks import CHUNK_BYTES, digest_pages
from edge_agent.wire.digests import content_digest, job_id
from edge_agent.wire.envelope import COMMAND_TYPE, seal
from edge_agent.wire.manifest import encode_manifest
from edge_agent.wire.messages import Command
from edge_agent.wire.topics import Topics
from host_tools.broker.session import Session
from host_tools.broker.settings import Settings
from host_tools.cli.app import main as tools_main


def archive(size: int) -> bytes:
    """An archive with one member of this size."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr(zipfile.ZipInfo("windows"), (b"labelled windows" * (size // 16 + 1))[:size])
    return packed.getvalue()


LABELLED = archive(3 * CHUNK_BYTES - len(archive(0)))
SET = describe(LABELLED)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalAgent]:
    agent = LocalAgent(tmp_path / "state").boot()
    yield agent
    agent.off()


def send(local: LocalAgent, data: bytes, *, first: int = 0) -> None:
    """Deliver a blob as a broker would: its page, then its chunks from ``first`` on."""
    chunks = [data[start : start + CHUNK_BYTES] for start in range(0, len(data), CHUNK_BYTES)]
    sha256 = describe(data).sha256
    (page,) = digest_pages(iter(chunks))
    local.handle(Incoming(TOPICS.page(sha256, 0), page, retained=True))
    for index, chunk in enumerate(chunks[first:], first):
        local.handle(Incoming(TOPICS.chunk(sha256, index), chunk, retained=True))


def send_chunk(local: LocalAgent, data: bytes, index: int) -> None:
    chunk = data[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES]
    local.handle(Incoming(TOPICS.chunk(describe(data).sha256, index), chunk, retained=True))


def blobs(store: Store) -> set[str]:
    return {path.name for path in store.blobs.iterdir()}


def test_the_set_is_asked_for_when_the_model_is_here(local: LocalAgent) -> None:
    manifest = wanted(1, eval=SET)
    local.deliver(manifest, blob=False)
    asked_first = {name for name in local.link.filters if "/b/" in name}

    send(local, MODEL)
    (job,) = local.agent.jobs.values()
    asked_then = {name for name in local.link.filters if "/b/" in name}
    waited = (job.stage, job.fraction)
    send(local, LABELLED)
    local.settle()

    assert all(manifest.blob.sha256 in name for name in asked_first)
    assert all(SET.sha256 in name for name in asked_then)
    assert waited[0] is Stage.RECEIVE
    assert 0 < waited[1] < 0.1, "the model is a small part of what is to come"
    assert local.agent.jobs[job.id].status is Status.SUCCEEDED


def test_what_was_here_when_the_power_failed_is_not_fetched_again(tmp_path: Path) -> None:
    before = LocalAgent(tmp_path / "state").boot()
    before.deliver(wanted(1, eval=SET), blob=False)
    send(before, MODEL)
    (page,) = digest_pages(iter([LABELLED[at : at + CHUNK_BYTES] for at in range(0, len(LABELLED), CHUNK_BYTES)]))
    before.handle(Incoming(TOPICS.page(SET.sha256, 0), page, retained=True))
    for index in (0, 1):
        send_chunk(before, LABELLED, index)
    before.agent.transfers.disconnected()  # what came is on the disk; a SIGKILL has its test on a real broker
    before.off()

    again = LocalAgent(tmp_path / "state").boot()
    asked = {name for name in again.link.filters if "/b/" in name}
    send_chunk(again, LABELLED, 2)
    again.settle()

    (job,) = again.agent.jobs.values()
    assert asked == {TOPICS.chunk(SET.sha256, 2)}
    assert job.status is Status.SUCCEEDED
    again.off()


def test_a_set_that_cannot_be_had_ends_its_job_and_leaves_the_others(local: LocalAgent) -> None:
    local.want(1)
    local.settle()
    wrong = msgspec.structs.replace(SET, sha256="0" * 64)
    local.deliver(wanted(2, eval=wrong))

    chunks = [LABELLED[at : at + CHUNK_BYTES] for at in range(0, len(LABELLED), CHUNK_BYTES)]
    (page,) = digest_pages(iter(chunks))
    local.handle(Incoming(TOPICS.page(wrong.sha256, 0), page, retained=True))
    for index, chunk in enumerate(chunks):
        local.handle(Incoming(TOPICS.chunk(wrong.sha256, index), chunk, retained=True))

    failed = next(job for job in local.agent.jobs.values() if job.version == 2)
    assert (failed.status, failed.code) == (Status.FAILED, "hash_mismatch")
    assert [release.version for release in local.agent.identity.active(local.store)] == [1]


@pytest.mark.parametrize(("limit", "code"), [(len(LABELLED), ""), (len(LABELLED) - 1, "model_too_large")])
def test_a_set_that_is_too_large_is_refused_before_a_byte_is_fetched(tmp_path: Path, limit: int, code: str) -> None:
    local = LocalAgent(tmp_path / "state", limits={"max_model_bytes": limit}).boot()

    local.deliver(wanted(1, eval=SET), blob=False)

    (job,) = local.agent.jobs.values()
    assert job.code == code
    assert any("/b/" in name for name in local.link.filters) is not bool(code)
    local.off()


def test_it_stays_while_a_recalibration_may_need_it_and_goes_with_the_release(local: LocalAgent) -> None:
    (local.store.blobs / SET.sha256).write_bytes(LABELLED)
    first = wanted(1, eval=SET)
    local.deliver(first)
    local.settle()
    kept = blobs(local.store)
    left = {path.name for path in local.store.job_dir(job_id(content_digest(encode_manifest(first)))).iterdir()}

    body = Command(
        namespace="ea/v1", id="c-1", action="recalibrate", model="har", targets=[str(DEVICE)],
        expires="2099-01-01T00:00:00Z",
    )  # fmt: skip
    command = seal(msgspec.json.encode(body), COMMAND_TYPE)
    local.handle(Incoming(TOPICS.command(DEVICE, "c-1"), command, retained=True))
    local.settle()
    ends = [job.status for job in local.agent.jobs.values()]
    again = blobs(local.store)
    local.want(2)
    local.settle()

    assert kept == again == {first.blob.sha256, SET.sha256}
    assert left == {"job.json", "manifest.json", "report.json"}
    assert ends == [Status.SUCCEEDED, Status.SUCCEEDED]
    assert blobs(local.store) == {first.blob.sha256}


# -- the host's side, on real brokers


@pytest.fixture
def host(
    broker: Broker, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Host:
    return Host(broker.url, namespace, tmp_path, monkeypatch, capsys)


def pages_of(host: Host, data: bytes) -> dict[str, bytes]:
    """What the broker has of a blob."""
    topics = Topics(host.namespace)
    sha256 = hashlib.sha256(data).hexdigest()
    with Session(Settings(url=host.url, namespace=host.namespace)) as session:
        return session.snapshot(topics.pages(sha256), topics.chunk_group(sha256, 0))


def test_both_blobs_are_sent_once_and_purged_together(host: Host) -> None:
    path = host.folder / "eval.npz"
    path.write_bytes(LABELLED)
    host.write_manifest(MANIFEST + '[eval]\nfile = "eval.npz"\n')
    model = host.model.read_bytes()
    uploads: list[Any] = []
    with FakeDevice(host.url, host.namespace, "pi-01", (ends("succeeded", "accepted"),)):
        for _ in range(2):
            ended = host.push("--device", "pi-01", "--json")
            assert ended.exit == 0, ended.err
            uploads.append([event for event in ended.events if event["event"] == "upload"])
        held = [len(pages_of(host, data)) for data in (model, LABELLED)]
        kept = host.run(tools_main, "purge", "--grace", "0", "--json").events[0]
        host.write_manifest(MANIFEST)
        host.model.write_bytes(b"another model")
        host.push("--device", "pi-01", "--no-wait")
        gone = host.run(tools_main, "purge", "--grace", "0", "--json").events[0]

    chunks = -(-len(model) // CHUNK_BYTES)
    assert held == [1 + chunks, 1 + 3]
    assert (kept["cleared_blobs"], kept["kept_blobs"]) == ([], 2)
    assert set(gone["cleared_blobs"]) == {hashlib.sha256(data).hexdigest() for data in (model, LABELLED)}
    assert [pages_of(host, data) for data in (model, LABELLED)] == [{}, {}]
    assert len(uploads[0]) > 1
    assert uploads[1] == uploads[0][-1:], "nothing was left to send"


def test_the_set_counts_against_the_room_of_the_broker(host: Host) -> None:
    (host.folder / "eval.npz").write_bytes(LABELLED)
    room = str(host.model.stat().st_size + len(LABELLED) - 1)
    with FakeDevice(host.url, host.namespace, "pi-01") as pi:
        full = host.push("--device", "pi-01", "--eval", host.folder / "eval.npz", "--max-broker-bytes", room)
        without = host.push("--device", "pi-01", "--no-wait", "--max-broker-bytes", room)

    assert full.exit == 2
    assert "broker_full" in full.err
    assert without.exit == 0
    assert [manifest.eval for manifest in pi.wants] == [None]


@pytest.mark.parametrize("named", ["by the command", "by the manifest"])
def test_labels_without_a_kind_are_refused_before_anything_is_sent(host: Host, named: str) -> None:
    labelled = host.folder / "eval.npz"
    labelled.write_bytes(LABELLED)
    table = '[eval]\nfile = "eval.npz"\n' if named == "by the manifest" else ""
    option = [] if table else ["--eval", str(labelled)]
    with FakeDevice(host.url, host.namespace, "pi-01") as pi:
        known = host.push("--device", "pi-01", *option, "--dry-run")
        host.write_manifest(MANIFEST.replace('kind = "classes"', "") + table)
        found = host.push("--device", "pi-01", *option, "--timeout", "5", "--json")

    assert known.exit == 0
    assert found.exit == 2
    assert found.events[-1]["code"] == "output_kind_needed"
    assert (
        f"{host.manifest}: a labelled set needs the kind of output that its labels describe; set [output] kind"
        in found.err
    )
    assert pi.wants == []
    assert pages_of(host, LABELLED) == {}


def test_a_dry_run_counts_both(host: Host) -> None:
    (host.folder / "eval.npz").write_bytes(LABELLED)
    with FakeDevice(host.url, host.namespace, "pi-01"):
        ended = host.push("--device", "pi-01", "--eval", host.folder / "eval.npz", "--dry-run")

    shown = json.loads(ended.out)
    size = host.model.stat().st_size
    assert shown["bytes"] == size + len(LABELLED)
    assert shown["chunks"] == -(-size // CHUNK_BYTES) + 3
    assert shown["manifest"]["eval"]["sha256"] == SET.sha256
