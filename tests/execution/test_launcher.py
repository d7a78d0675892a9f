"""A worker is asked for what the manifest says, and has limits."""

import queue
import sys
from pathlib import Path

import msgspec
import pytest
from support.agents import MODEL, wanted
from support.documents import SENT

from edge_agent.execution import run
from edge_agent.execution.launcher import Launcher, make_task
from edge_agent.jobs.job import Job
from edge_agent.jobs.task import WORKER_STAGES, Stage
from edge_agent.settings.device import parse_config
from edge_agent.state.store import Store
from edge_agent.wire.manifest import Gates, Output, Recipe, State, encode_manifest

JOB = Job(id="0123456789abcdef", model="har", version=7, digest="0" * 64, scope="d/pi-01", created=0.0)
SAID = msgspec.structs.replace(
    SENT, output=Output(), outputs=[Output(kind="classes", name="a"), Output(name="b")], recipe=Recipe(method="static"),
    gates=Gates(min_class_recall=0.5), state=[State("h", "hN")],
)  # fmt: skip


def test_all_that_a_manifest_says_of_the_model_is_in_the_task() -> None:
    table = {
        "device_id": "pi-01", "mqtt": {"url": "mqtt://127.0.0.1"},
        "sources": {"imu": {"kind": "replay", "path": "x.csv", "channels": ["ax", "ay"], "rate_hz": 50}},
    }  # fmt: skip

    task = make_task(JOB, SAID, parse_config(table, "test"), 0)

    for name in ("name", "version", "format", "inputs", "output", "outputs", "recipe", "gates", "state"):
        assert getattr(task, name) == getattr(SAID, name), name


def test_a_worker_knows_how_long_its_stage_may_take() -> None:
    table = {"device_id": "pi-01", "mqtt": {"url": "mqtt://x"}, "sources": {"imu": {"kind": "replay"}}}

    assert make_task(JOB, SAID, parse_config(table, "test"), 0).stage_timeout_s == 1800
    limits = parse_config(table | {"limits": {"stage_timeout_s": 600}}, "test")
    assert make_task(JOB, SAID, limits, 0).stage_timeout_s == 600


@pytest.mark.parametrize("stage", [*WORKER_STAGES, Stage.ACTIVATE])
def test_every_stage_has_a_limit_of_time(stage: Stage) -> None:
    table = {"device_id": "pi-01", "mqtt": {"url": "mqtt://127.0.0.1"}, "limits": {"stage_timeout_s": 77}}

    limits = Launcher(parse_config(table, "test"))._limits(stage, 1)

    assert (limits.timeout_s is None) is (stage is Stage.CAPTURE)
    assert (limits.quiet_s == 77) is (stage is Stage.CAPTURE)
    assert limits.memory_bytes == 1


_TAKEN_OVER = """
import sys, types
from edge_agent.jobs.outcome import Outcome
from edge_agent.worker.__main__ import main

def run(context):
    for path in context.job_dir.rglob("*"):
        if path.is_file():
            path.open("r+b").write(b"of a model")
    return Outcome()

stage = types.ModuleType("edge_agent.worker.stages.calibrate")
stage.run = run
sys.modules[stage.__name__] = stage
sys.exit(main(sys.argv[1:]))
"""
"""A stage whose model has taken it over, and writes to all that it finds in its folder."""


def test_a_worker_that_was_taken_over_changes_neither_the_store_nor_what_the_daemon_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its folder is all that it may write to, and nothing there is anybody else's."""
    table = {
        "device_id": "pi-01", "state_dir": str(tmp_path), "mqtt": {"url": "mqtt://127.0.0.1"},
        "sources": {"imu": {"kind": "serial"}},
    }  # fmt: skip
    manifest, store = wanted(1), Store(tmp_path)
    job = msgspec.structs.replace(JOB, stage=Stage.CALIBRATE)
    store.lock()
    store.create(job, encode_manifest(manifest))
    blob, work = store.blobs / manifest.blob.sha256, store.work_dir(job.id)
    blob.write_bytes(MODEL)
    known = [blob, *store.job_dir(job.id).iterdir()]
    before = [path.read_bytes() for path in known]
    monkeypatch.setattr(run, "python_child", lambda _, *argv: [sys.executable, "-c", _TAKEN_OVER, *argv])
    ends: queue.Queue[run.StageEnd] = queue.Queue()

    started = Launcher(parse_config(table, "test")).start(
        job, manifest, work, store.blobs, on_progress=lambda *_: None, on_end=ends.put
    )
    end = ends.get(timeout=60)

    assert started.join(60)
    assert end.status == "ok", end
    assert (work / "model.onnx").read_bytes().startswith(b"of a model")
    assert [path.read_bytes() for path in known] == before
    store.unlock()
