"""What workers leave is foreign: whatever it is, the device comes up, stays small, and believes nothing it should not.

Each is what a model that has taken over its worker could do in the folder that it may write to.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.agents import LocalAgent

from edge_agent.execution import run
from edge_agent.execution.run import StageEnd
from edge_agent.foreign.decoding import MOST_VALUES
from edge_agent.jobs.job import Job, Status
from edge_agent.jobs.task import OUTCOME_FILE, Stage
from edge_agent.process.child_limits import ChildLimits
from edge_agent.state.releases import Releases
from edge_agent.wire.messages import MAX_REPORT_BYTES

_BOOT = """
import sys
from pathlib import Path
from edge_agent.jobs.task import Stage
from support.agents import LocalAgent

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) >> 10

before = peak()
local = LocalAgent(Path(sys.argv[1]))
local.stages.held = set(Stage)
local.boot()
(job,) = local.agent.jobs.values()
print(peak() - before, len(str(local.agent.ledger.result(job))))
"""
"""Boots a device and prints by how many megabytes it grew, and how much it read."""
_MOST_GROWTH_MB = 20


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalAgent]:
    """A device whose job waits for the worker of its calibrate stage."""
    local = LocalAgent(tmp_path / "state")
    local.stages.held = {Stage.CALIBRATE}
    local.boot()
    yield local
    local.off()


def calibrating(local: LocalAgent) -> tuple[Job, Path]:
    """The job, and the folder of its workers, while the calibrate stage runs."""
    job_id = local.want()
    while not (job := local.agent.jobs[job_id]).running or job.stage is not Stage.CALIBRATE:
        local.step()
    return job, local.store.work_dir(job_id)


def in_place_of_an_outcome(what: str, path: Path, elsewhere: Path) -> None:
    """Put something there that is no outcome of ours."""
    path.unlink()
    told = {"code": "", "message": "", "results": {"message": "of others"}}
    match what:
        case "a FIFO":
            os.mkfifo(path)
        case "a link":
            elsewhere.write_text(json.dumps(told))
            path.symlink_to(elsewhere)
        case "an endless device":
            path.symlink_to("/dev/zero")
        case "150 MB":
            path.touch()
            os.truncate(path, 150 << 20)
        case "a megabyte of empty objects":
            path.write_text('{"results":{"candidates":[' + ",".join(["{}"] * 349_000) + "]}}")
        case "as many objects as are read":
            path.write_text('{"results":{"candidates":[' + ",".join(["{}"] * (MOST_VALUES // 2 - 9)) + "]}}")
        case "names of megabytes":
            path.write_text(json.dumps({"results": {"layers": [{"name": "n" * (8 << 20)}] * 4}}))
        case "a folder of others":
            elsewhere.mkdir()
            (elsewhere / OUTCOME_FILE).write_text(json.dumps(told))
            path.parent.rmdir()
            path.parent.symlink_to(elsewhere)


@pytest.mark.parametrize(
    "what",
    [
        "a FIFO", "a link", "an endless device", "150 MB", "a megabyte of empty objects",
        "as many objects as are read", "names of megabytes", "a folder of others",
    ],
)  # fmt: skip
def test_a_device_comes_up_at_once_and_small(local: LocalAgent, tmp_path: Path, what: str) -> None:
    _, work = calibrating(local)
    local.off()
    in_place_of_an_outcome(what, work / Stage.CAPTURE / OUTCOME_FILE, tmp_path / "elsewhere")

    argv = [sys.executable, "-c", _BOOT, str(local.store.root)]
    paths = os.pathsep.join(path for path in sys.path if path)
    ended = subprocess.run(
        argv, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "PYTHONPATH": paths}
    )

    assert ended.returncode == 0, ended.stderr
    grown_mb, read = map(int, ended.stdout.split())
    assert grown_mb < _MOST_GROWTH_MB
    assert read < 10 * MAX_REPORT_BYTES
    assert "of others" not in ended.stdout


@pytest.mark.parametrize("code", ["accepted", "canceled", "superseded", "no such code"])
def test_a_worker_does_not_say_what_is_the_daemons_to_say(
    tmp_path: Path, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a job would be told as succeeded of which nothing was judged, and nothing is active."""
    body = (
        "import pathlib, sys; folder = pathlib.Path(sys.argv[2], sys.argv[1]); folder.mkdir(); "
        f"(folder / 'outcome.json').write_text('{{\"code\": \"{code}\"}}')"
    )
    said = f'print(\'{{"event": "end", "status": "failed", "code": "{code}"}}\')'
    for script in (body, said):
        monkeypatch.setattr(run, "python_child", lambda _, *argv, script=script: [sys.executable, "-c", script, *argv])

        end = run.run_stage(tmp_path, Stage.QUANTIZE, ChildLimits(timeout_s=60), lambda *_: None)

        assert (end.status, end.code) == ("failed", "stage_crashed")
        assert "which no stage may report" in end.message


def test_a_chosen_model_that_is_a_link_is_not_released(local: LocalAgent, tmp_path: Path) -> None:
    """A release is readable by everybody; what the daemon may read is not."""
    (tmp_path / "password").write_text("of the broker")
    job = in_place_of_the_chosen(local, lambda path: path.symlink_to(tmp_path / "password"))

    assert (job.status, job.code) == (Status.FAILED, "release_corrupt")
    assert "it is a link; links are not followed" in job.message
    assert not [path for path in local.store.models.rglob("*") if path.is_file() and "broker" in path.read_text()]


@pytest.mark.parametrize("what", ["a FIFO", "larger than allowed", "nothing", "a folder that is a link"])
def test_a_chosen_model_that_is_none_ends_its_job(local: LocalAgent, tmp_path: Path, what: str) -> None:
    def put(path: Path) -> None:
        match what:
            case "a FIFO":
                os.mkfifo(path)
            case "larger than allowed":
                path.touch()
                os.truncate(path, 1 << 40)
            case "a folder that is a link":
                path.parent.rename(tmp_path / "moved")
                (tmp_path / "moved" / path.name).write_bytes(b"of others")
                path.parent.symlink_to(tmp_path / "moved")

    job = in_place_of_the_chosen(local, put)

    assert (job.status, job.code) == (Status.FAILED, "release_corrupt")
    assert Releases(local.store.models, "har").active() is None
    assert "of others" not in job.message


def test_a_chosen_model_that_was_not_judged_is_not_released(local: LocalAgent) -> None:
    """A bit that flips between the verdict and the activation."""

    def put(path: Path) -> None:
        path.write_bytes(b"another model")
        outcome = path.parents[1] / Stage.VALIDATE / OUTCOME_FILE
        outcome.write_text('{"model_sha256": "' + "0" * 64 + '"}')

    job = in_place_of_the_chosen(local, put)

    assert (job.status, job.code) == (Status.FAILED, "release_corrupt")
    assert "it is no longer the file that was judged" in job.message


def test_a_float_model_that_is_activated_is_what_was_pushed(tmp_path: Path) -> None:
    local = LocalAgent(tmp_path / "state", activation={"on_rejected": "float"})
    local.stages.ends[Stage.VALIDATE] = StageEnd("agreement_too_low", "too low", "rejected", 0.1)
    local.stages.held = {Stage.VALIDATE}
    local.boot()
    job_id = local.want()
    while len(local.stages.runs) < 4:
        local.step()
    local.stages.runs[-1][1].end()
    (local.store.work_dir(job_id) / "model.onnx").write_bytes(b"another model")
    local.settle()
    local.off()

    assert local.agent.jobs[job_id].code == "release_corrupt"
    assert Releases(local.store.models, "har").active() is None


def in_place_of_the_chosen(local: LocalAgent, put: Callable[[Path], object]) -> Job:
    """Let a job run to its end, with something else in place of the model that was chosen."""
    local.stages.held = {Stage.BENCHMARK}
    job_id = local.want()
    while len(local.stages.runs) < 5:
        local.step()
    local.stages.runs[-1][1].end()
    path = local.store.work_dir(job_id) / Stage.QUANTIZE / "chosen.onnx"
    path.unlink()
    put(path)
    local.settle()
    return local.agent.jobs[job_id]


def test_what_lies_in_the_way_of_the_daemons_files_goes(local: LocalAgent, tmp_path: Path) -> None:
    """Where the task is written and the release is shown to the probe."""
    local.stages.held = {Stage.BENCHMARK}
    job_id = local.want()
    while len(local.stages.runs) < 5:
        local.step()
    (local.store.work_dir(job_id) / "release" / "inside").mkdir(parents=True)
    local.stages.runs[-1][1].end()
    local.settle()

    assert local.agent.jobs[job_id].code == "accepted"


def test_nothing_of_the_daemons_lies_where_workers_write(local: LocalAgent) -> None:
    job, work = calibrating(local)

    assert {path.name for path in local.store.job_dir(job.id).iterdir()} == {"job.json", "manifest.json"}
    assert not {"job.json", "manifest.json", "report.json"} & {path.name for path in work.iterdir()}
    assert work not in local.store.job_dir(job.id).parents
    assert local.store.job_dir(job.id) not in work.parents
