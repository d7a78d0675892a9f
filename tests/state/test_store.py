"""The state directory: one writer, durable writes, broken files set aside, releases swapped and rolled back."""

import errno
import hashlib
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge_agent.cli import main
from edge_agent.errors import LimitError, StoreError
from edge_agent.jobs.job import Job
from edge_agent.state.model_file import ModelFile
from edge_agent.state.release import Release
from edge_agent.state.releases import Releases
from edge_agent.state.store import CommandRecord, ModelRecord, Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "state")
    store.lock()
    return store


def job(name: str = "j", created: float = 0.0) -> Job:
    return Job(id=name, model="har", version=1, digest="d", scope="d/pi", created=created)


def release(version: int, file: Path, previous: str = "") -> Release:
    return Release(
        model="har", version=version, job=f"job{version}", digest=f"digest{version}", blob="b" * 64, file="model.onnx",
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(), size_bytes=file.stat().st_size, verdict="accepted",
        method="static", runtime="onnxruntime", runtime_version="1", threads=1, arch="x86_64", contract="c",
        agent_version="0", activated="", previous=previous,
    )  # fmt: skip


def as_left(file: Path, sha256: str = "") -> ModelFile:
    """A model file where a worker has left it."""
    return ModelFile(file.parent, (file.name,), sha256, 1 << 20)


def test_one_writer(store: Store) -> None:
    with pytest.raises(StoreError, match="locked"):
        Store(store.root).lock()

    store.unlock()

    Store(store.root).lock()


def test_the_lock_dies_with_its_process(tmp_path: Path) -> None:
    code = f"from edge_agent.state.store import Store; from pathlib import Path; Store(Path({str(tmp_path)!r})).lock()"
    subprocess.run([sys.executable, "-c", code + "; import os; os._exit(9)"], check=False)

    Store(tmp_path).lock()


def test_jobs_come_back_oldest_first(store: Store) -> None:
    for name, created in (("b", 2.0), ("a", 3.0), ("c", 1.0)):
        store.create(job(name, created), b"{}")

    assert [found.id for found in store.load_jobs()] == ["c", "b", "a"]
    assert store.manifest("a") == b"{}"


def test_a_broken_state_file_is_set_aside_and_the_rest_lives(store: Store) -> None:
    store.create(job("good"), b"{}")
    store.create(job("bad"), b"{}")
    (store.job_dir("bad") / "job.json").write_bytes(b'{"id": "ba')
    (store.models / "har.json").write_bytes(b"\0\0\0")

    assert [found.id for found in store.load_jobs()] == ["good"]
    assert (store.job_dir("bad") / "job.json.broken").exists()
    assert store.record("har") is None


def test_a_full_disk_leaves_the_old_state(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.save_record("har", ModelRecord(version=1, digest="d", job="j", scope="d/pi"))

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LimitError, match="no_space"):
        store.save_record("har", ModelRecord(version=2, digest="e", job="k", scope="d/pi"))

    kept = store.record("har")
    assert kept is not None
    assert kept.version == 1


def test_an_ended_job_keeps_its_report_and_nothing_else(store: Store) -> None:
    store.create(job(), b"{}")
    store.save_report("j", b"report")
    folder = store.job_dir("j")
    work = store.work_dir("j")
    (work / "capture").mkdir()
    (work / "capture" / "shard.npy").write_bytes(b"samples of somebody's life")
    (work / "model.onnx").write_bytes(b"x")

    store.retire("j", keep=["capture"])
    assert [path.name for path in work.iterdir()] == ["capture"]
    store.retire("j")

    assert not work.exists()

    assert sorted(path.name for path in folder.iterdir()) == ["job.json", "manifest.json", "report.json"]
    assert store.report("j") == b"report"


def test_blobs_that_nothing_names_go_partial_ones_too(store: Store) -> None:
    for name in ("aa", "bb", "bb.part", "cc.part", "cc.bits"):
        (store.blobs / name).write_bytes(b"x")

    assert store.collect_blobs({"aa"}) == ["bb", "cc"]
    assert [path.name for path in store.blobs.iterdir()] == ["aa"]


def test_releases_are_swapped_rolled_back_and_collected(store: Store, tmp_path: Path) -> None:
    releases = Releases(store.models, "har")
    previous = ""
    for version in (1, 2, 3):
        file = tmp_path / f"{version}.onnx"
        file.write_bytes(bytes([version]))
        made = release(version, file, previous)
        releases.prepare(made, as_left(file), b"manifest", b"report")
        assert (releases.active() is None) == (version == 1)
        releases.swap(made.name)
        previous = made.name

    current, target = releases.rollback_target()
    assert (current.version, target.version) == (3, 2)
    releases.swap(target.name)
    assert (releases.folder / "active" / "model.onnx").read_bytes() == b"\2"
    releases.collect()

    assert [found.version for found in releases.all()] == [1, 2]
    releases.collect()
    _, target = releases.rollback_target()
    assert target.version == 1
    releases.swap(target.name)
    with pytest.raises(StoreError, match="no_previous"):
        releases.rollback_target()


def test_while_a_release_is_on_trial_the_one_before_loses_nothing(store: Store, tmp_path: Path) -> None:
    """If the trial fails, the one before is active again, and an operator may want to go back from there."""
    releases = Releases(store.models, "har")
    previous = ""
    for version in (1, 2, 3, 4):
        file = tmp_path / f"{version}.onnx"
        file.write_bytes(bytes([version]))
        made = release(version, file, previous)
        releases.prepare(made, as_left(file), b"manifest", b"report")
        releases.swap(made.name)
        previous = made.name

    releases.collect({previous})

    assert [found.version for found in releases.all()] == [2, 3, 4]
    assert [found.version for found in releases.standing({previous})] == [4, 3]
    assert releases.withdraw(releases.active() or made)
    _, target = releases.rollback_target()
    assert target.version == 2


def test_withdrawing_a_first_release_leaves_nothing_active(store: Store, tmp_path: Path) -> None:
    releases = Releases(store.models, "har")
    file = tmp_path / "m.onnx"
    file.write_bytes(b"x")
    made = release(1, file)
    releases.prepare(made, as_left(file), b"", b"")
    releases.swap(made.name)

    assert releases.withdraw(made) == ""
    assert releases.active() is None
    with pytest.raises(StoreError, match="not_active"):
        releases.rollback_target()


def test_a_flipped_bit_in_a_release_is_found(store: Store, tmp_path: Path) -> None:
    releases = Releases(store.models, "har")
    file = tmp_path / "m.onnx"
    file.write_bytes(b"weights")
    made = release(1, file)
    releases.prepare(made, as_left(file), b"", b"")
    releases.verify(made)

    (releases.path(made.name) / "model.onnx").write_bytes(b"weightr")

    with pytest.raises(StoreError, match="release_corrupt"):
        releases.verify(made)


def test_a_rollback_needs_no_daemon_and_runs_the_hook(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    releases = Releases(store.models, "har")
    previous = ""
    for version in (1, 2):
        file = tmp_path / f"{version}.onnx"
        file.write_bytes(bytes([version]))
        made = release(version, file, previous)
        releases.prepare(made, as_left(file), b"manifest", b"report")
        releases.swap(made.name)
        previous = made.name
    store.save_record("har", ModelRecord(version=2, digest="digest2", job="job2", scope="d/pi"))
    hook = tmp_path / "hook.sh"
    hook.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/told\n')
    hook.chmod(0o755)
    config = tmp_path / "config.toml"
    config.write_text(f'device_id = "pi"\nstate_dir = "{store.root}"\n[activation]\nhook = ["{hook}"]\n')

    assert main(["rollback", "har", "--config", str(config)]) == 1, "somebody holds the lock"
    store.unlock()
    assert main(["rollback", "har", "--config", str(config)]) == 0

    active, record = releases.active(), store.record("har")
    assert active is not None
    assert active.version == 1
    assert (tmp_path / "told").read_text().strip() == str(releases.path(active.name))
    assert record is not None
    assert record.withdrawn
    assert "har 1 is active again" in capsys.readouterr().out


def test_others_may_read_releases_and_nothing_else(store: Store, tmp_path: Path) -> None:
    """Whatever the umask of the service: applications run as other users."""
    file = tmp_path / "m.onnx"
    file.write_bytes(b"x")
    store.create(job(), b"{}")
    before = os.umask(0o077)
    try:
        releases = Releases(store.models, "har")
        made = release(1, file)
        releases.prepare(made, as_left(file), b"", b"")
        releases.swap(made.name)
    finally:
        os.umask(before)

    active = store.models / "har" / "active"
    for path in (store.root, store.models, active.parent, active.parent / "releases", active.resolve()):
        assert path.stat().st_mode & 0o055 == 0o055, path
    assert (active / "model.onnx").stat().st_mode & 0o044 == 0o044
    for private in (store.jobs, store.work, store.blobs):
        assert private.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("file", ["release.json", "model.onnx"])
@pytest.mark.parametrize("what", ["a FIFO", "a link"])
def test_a_release_of_links_and_pipes_is_taken_out(store: Store, tmp_path: Path, file: str, what: str) -> None:
    """It neither keeps the device from coming up, nor has an application read what is somewhere else."""
    releases = Releases(store.models, "har")
    model = tmp_path / "m.onnx"
    model.write_bytes(b"weights")
    made = release(1, model)
    releases.prepare(made, as_left(model), b"", b"")
    releases.swap(made.name)
    path = releases.path(made.name) / file
    path.rename(tmp_path / "elsewhere")
    if what == "a FIFO":
        os.mkfifo(path)
    else:
        path.symlink_to(tmp_path / "elsewhere")

    problem = releases.replace(*releases.diagnose())

    assert problem.startswith("release_corrupt")
    assert problem.endswith("; nothing is active")
    assert releases.active() is None


@pytest.mark.parametrize("at", ["release.json", "model.onnx"])
def test_want_of_descriptors_says_nothing_of_a_release(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """A flood takes them all, and the active release would be taken out as one that cannot be read."""
    releases = Releases(store.models, "har")
    model = tmp_path / "m.onnx"
    model.write_bytes(b"weights")
    made = release(1, model)
    releases.prepare(made, as_left(model), b"", b"")
    releases.swap(made.name)
    really = os.open

    def too_many(path: Any, *given: Any, **named: Any) -> int:
        if str(path).endswith(at):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return really(path, *given, **named)

    monkeypatch.setattr(os, "open", too_many)

    with pytest.raises(StoreError) as refused:
        releases.diagnose()
    assert refused.value.code == "state_unreadable"


@pytest.mark.parametrize("changes", [{"file": "../m.onnx"}, {"previous": "../../gait/releases/1-j"}, {"job": "/.."}])
def test_a_release_that_names_another_folder_is_none(store: Store, tmp_path: Path, changes: dict[str, str]) -> None:
    releases = Releases(store.models, "har")
    model = tmp_path / "m.onnx"
    model.write_bytes(b"weights")
    made = release(1, model)
    releases.prepare(made, as_left(model), b"", b"")
    path = releases.path(made.name) / "release.json"
    path.write_bytes(msgspec.json.encode(msgspec.json.decode(path.read_bytes()) | changes))

    assert releases.read(made.name) is None


def test_a_model_that_changes_while_it_is_released_is_not(store: Store, tmp_path: Path) -> None:
    releases = Releases(store.models, "har")
    model = tmp_path / "m.onnx"
    model.write_bytes(b"weights")
    made = release(1, model)
    model.write_bytes(b"weightr")

    with pytest.raises(StoreError, match="changed while it was copied"):
        releases.prepare(made, as_left(model), b"", b"")
    with pytest.raises(StoreError, match="it is no longer the file that was judged"):
        releases.prepare(made, as_left(model, made.sha256), b"", b"")

    assert releases.all() == []


def test_what_workers_of_a_version_before_have_left_is_moved_to_where_they_write_now(store: Store) -> None:
    """Whenever the power fails meanwhile, and again after a version before has run once more."""
    store.create(job(), b"{}")
    folder, work = store.job_dir("j"), store.work_dir("j")
    for round_ in ("first", "second"):
        (folder / "capture").mkdir()
        (folder / "capture" / "outcome.json").write_text(round_)
        (folder / "task.json").write_text(round_)
        (folder / ".task.json.tmp").write_text("a part")

        store.separate_work()

        assert {path.name for path in folder.iterdir()} == {"job.json", "manifest.json"}
        assert {path.name for path in work.iterdir()} == {"capture", "task.json"}
        assert (work / "capture/outcome.json").read_text() == round_


def full(path: Path, *_given: object, **_how: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def test_a_full_disk_keeps_no_daemon_from_starting(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What would make room is the daemon itself."""
    store.create(job(), b"{}")
    store.retire("j")
    monkeypatch.setattr(Path, "mkdir", full)
    store.separate_work()  # nothing is to be moved, so nothing is made
    assert not caplog.records

    (store.job_dir("j") / "task.json").write_text("{}")
    store.separate_work()

    assert "No space left" in caplog.text
    assert [found.id for found in store.load_jobs()] == ["j"]


def test_a_job_that_no_folder_can_be_made_for_finds_no_space(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "mkdir", full)

    with pytest.raises(LimitError, match="No space left"):
        store.create(job(), b"{}")


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """As in a daemon whose every descriptor is taken."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208  # names
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(used), hard))
    held = []
    try:
        with suppress(OSError):
            while True:
                held.append(os.open("/dev/null", os.O_RDONLY))
        yield
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_file_that_cannot_be_read_now_is_left_as_it_is(store: Store) -> None:
    """With the record of a model would go what keeps older versions out."""
    store.save_record("har", ModelRecord(version=7, digest="d", job="j", scope="d/pi-01"))
    store.save_commands({"one": CommandRecord(expires=1e12)})
    with no_descriptor_left():
        with pytest.raises(StoreError, match="state_unreadable"):
            store.record("har")
        with pytest.raises(StoreError, match="state_unreadable"):
            store.commands()

    record = store.record("har")
    assert record is not None
    assert record.version == 7
    assert list(store.commands()) == ["one"]
    assert not list(store.root.rglob("*.broken"))


def test_a_job_that_cannot_be_read_at_boot_keeps_its_folder(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = store.job_dir("held")
    folder.mkdir(parents=True)
    (folder / "job.json").write_text("{}")

    def fail(*_: object, **__: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("edge_agent.state.store.read_file", fail)

    assert store.load_jobs() == []
    store.forget_others([])

    assert folder.is_dir()
