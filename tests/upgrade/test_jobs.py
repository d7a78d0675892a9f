"""A device of version 0.1.0 gets this version while a job is under way: it goes on where it was, and ends as it should.

The state directories are those that a daemon of that version left when it was killed in the middle of each stage, see
``tests/fixtures/v0_1_0/make_states.py``. What earlier stages left there is read by the workers of this version.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.agents import DEVICE, TOPICS, LocalAgent
from support.onnx_models import save
from support.upgrades import CHUNKS_THERE, FIXTURES, RECIPE, Upgraded, net, tree, unpack

from edge_agent.jobs.job import ActivationStep, Job, Status
from edge_agent.jobs.task import Stage
from edge_agent.mqtt import Incoming
from edge_agent.state.releases import Releases
from edge_agent.wire.chunks import CHUNK_BYTES
from edge_agent.wire.messages import JobReport, decode
from edge_agent.worker.data.sets import SETS_FILE, ShardSets
from host_tools.demo.simulator import SerialImu
from host_tools.push.manifest_file import read_blob

pytestmark = [pytest.mark.slow, pytest.mark.children(covered=False)]

STEPS = ["prepared", "swapped", "hooked", "probed"]
WORKING = ["capture", "calibrate", "quantize", "validate", "benchmark"]
Boot = Callable[..., Upgraded]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(FIXTURES / "v0_1_0" / "states.tar.xz", tmp_path_factory.mktemp("states"))


@pytest.fixture
def boot(made: Path, tmp_path: Path) -> Iterator[Boot]:
    """Boots this version on a copy of a state."""
    booted = []

    def start(name: str, **tables: dict[str, Any]) -> Upgraded:
        state = Path(shutil.copytree(made / name, tmp_path / "state", symlinks=True))
        booted.append(Upgraded(state, tmp_path / "imu", **tables))
        booted[0].boot()
        return booted[0]

    yield start
    for device in booted:
        device.off()


@pytest.fixture
def hook(tmp_path: Path) -> list[str]:
    """A command that notes for which release it was called."""
    path = tmp_path / "hook.sh"
    path.write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/told\n')
    path.chmod(0o755)
    return [str(path)]


def check_active(device: Upgraded, job: Job) -> None:
    """The job's release is active and whole, its predecessor the way back, and all of it is said."""
    releases = Releases(device.store.models, "har")
    active, record = releases.active(), device.store.record("har")
    assert (job.status, job.code) == (Status.SUCCEEDED, "accepted"), job.message
    assert active is not None
    assert record is not None
    assert (active.name, active.previous[:2]) == (f"4-{job.id}", "2-")
    releases.verify(active)
    assert (record.version, record.status, record.withdrawn) == (4, "succeeded", False)
    report = decode(device.link.retained[TOPICS.device(DEVICE.name, "job", job.id)], JobReport)
    assert (report.results["verdict"], report.release) == ("accepted", str(releases.path(active.name)))
    assert list(report.results["seconds"]) == [str(stage) for stage in Stage]
    assert {path.name for path in device.store.job_dir(job.id).iterdir()} == {
        "job.json", "manifest.json", "report.json",
    }  # fmt: skip


@pytest.mark.parametrize("name", [*WORKING, "stopped", "swapped", "hooked"])
def test_the_stage_that_was_under_way_is_started(made: Path, tmp_path: Path, name: str) -> None:
    """And nothing is counted that was not: a power cut while a model ran is, a clean stop and others are not."""
    device = LocalAgent(Path(shutil.copytree(made / name, tmp_path / "state", symlinks=True)))
    device.stages.held = set(Stage)
    device.boot()
    deadline = time.monotonic() + 60
    while not device.stages.runs and time.monotonic() < deadline:  # a release is read again before it is put in again
        device.step()

    [(job, _)] = device.stages.runs
    stage = {"stopped": Stage.CAPTURE, "swapped": Stage.ACTIVATE, "hooked": Stage.ACTIVATE}.get(name) or Stage(name)
    assert (job.version, job.stage) == (5 if name == "stopped" else 4, stage)
    assert (job.restarts, job.attempts) == (int(name in (*WORKING[1:], "swapped", "hooked")), 0)
    assert job.step == (ActivationStep.HOOKED if stage is Stage.ACTIVATE else None)
    device.off()


def test_a_transfer_goes_on_with_what_is_missing(boot: Boot, tmp_path: Path) -> None:
    """Of three chunks two are there; only the third is asked for, and its job ends."""
    device = boot("receive")
    model = save(net(1024), tmp_path / "large.onnx")
    digest, data = read_blob(model).sha256, model.read_bytes()
    [missing] = {0, 1, 2} - CHUNKS_THERE

    assert [topic for topic in device.link.filters if digest in topic] == [TOPICS.chunk(digest, missing)]
    with SerialImu(tmp_path / "imu"):
        chunk = data[missing * CHUNK_BYTES : (missing + 1) * CHUNK_BYTES]
        device.handle(Incoming(TOPICS.chunk(digest, missing), chunk, retained=True))
        check_active(device, device.end_of(4))


@pytest.mark.parametrize(("name", "version"), [("capture", 4), ("stopped", 5)])
def test_a_capture_goes_on_after_the_last_whole_block(
    made: Path, boot: Boot, tmp_path: Path, name: str, version: int
) -> None:
    [folder] = made.glob(f"{name}/jobs/*/capture.tmp")
    blocks = {path.name: path.read_bytes() for path in folder.glob("*.npy")}
    with SerialImu(tmp_path / "imu"):
        device = boot(name)
        job = device.until(lambda job: job.stage is Stage.CALIBRATE, version)

    captured = device.store.work_dir(job.id) / Stage.CAPTURE
    assert blocks
    assert {block: (captured / block).read_bytes() for block in blocks} == blocks
    sets = msgspec.json.decode((captured / SETS_FILE).read_bytes(), type=ShardSets)
    assert sum(shard.windows for shard in sets.search) == RECIPE.search_windows
    assert sum(shard.windows for shard in sets.heldout) == RECIPE.heldout_windows


@pytest.mark.parametrize("name", WORKING[1:])
def test_a_stage_is_done_again_and_the_job_ends(boot: Boot, name: str) -> None:
    """Calibration ends where the next stage begins, which has a state of its own."""
    device = boot(name)
    if name == "calibrate":
        assert device.until(lambda job: job.stage is Stage.QUANTIZE, 4).status is Status.IN_PROGRESS
    else:
        check_active(device, device.end_of(4))


@pytest.mark.parametrize("name", STEPS)
def test_an_activation_goes_on_with_the_next_step(boot: Boot, hook: list[str], tmp_path: Path, name: str) -> None:
    device = boot(name, activation={"hook": hook})

    job = device.end_of(4)

    check_active(device, job)
    told = tmp_path / "told"
    assert told.exists() == (name in ("prepared", "swapped"))
    assert not told.exists() or told.read_text() == f"{device.store.models}/har/releases/4-{job.id}\n"


@pytest.mark.parametrize("name", ["prepared", "swapped"])
def test_an_activation_that_is_refused_is_taken_back(boot: Boot, name: str) -> None:
    """The previous release of that version is active again."""
    device = boot(name, activation={"hook": [shutil.which("false") or "false"]})

    job = device.end_of(4)

    active = Releases(device.store.models, "har").active()
    assert job.code == "activation_failed"
    assert active is not None
    assert active.version == 2


def test_a_job_that_had_ended_is_reported(boot: Boot) -> None:
    """The power failed between its end and its report."""
    device = boot("committed")

    check_active(device, device.end_of(4))


def test_a_boot_leaves_what_others_need(made: Path, boot: Boot) -> None:
    """The releases that are active, and the jobs that had ended, are as they were."""
    device = boot("benchmark")
    before, after = tree(made / "benchmark"), tree(device.store.root)
    [working] = made.glob("benchmark/jobs/*/benchmark.tmp")

    others = {name for name in before if working.parent.name not in name}
    assert len(others) > 30
    assert {name: after.get(name) for name in others} == {name: before[name] for name in others}
