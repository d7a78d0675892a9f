"""Stages run in real worker processes: what a worker says, what it leaves, and what is made of its death."""

import os
import queue
import signal
import sys
from pathlib import Path

import msgspec
import psutil
import pytest
from support.processes import gone

from edge_agent.execution import run
from edge_agent.execution.run import StageEnd, StageRun, run_stage
from edge_agent.jobs.outcome import read_outcome
from edge_agent.jobs.result import Result
from edge_agent.jobs.task import Stage, Task
from edge_agent.process.child_limits import ChildLimits

FREE = ChildLimits(timeout_s=60)
_STAGE = """
import sys, types
from edge_agent.worker.__main__ import main
body = types.ModuleType("edge_agent.worker.stages.calibrate")
exec({body!r}, body.__dict__)
sys.modules["edge_agent.worker.stages.calibrate"] = body
sys.exit(main(sys.argv[1:]))
"""
_IMPORTS = """
import os, sys, time
from edge_agent.errors import ModelError, Refusal
from edge_agent.jobs.outcome import Outcome
from edge_agent.jobs.result import Result
"""


@pytest.fixture
def job_dir(tmp_path: Path) -> Path:
    task = Task(job="0" * 16, name="har", version=1, format="onnx", model="model.onnx")
    (tmp_path / "task.json").write_bytes(msgspec.json.encode(task))
    return tmp_path


class Worker:
    """Runs a stage whose body is ``code`` through the real worker, supervisor and runner."""

    def __init__(self, job_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.job_dir = job_dir
        self.progress: list[tuple[float, str, float | None]] = []
        self._monkeypatch = monkeypatch

    def use(self, script: str) -> None:
        self._monkeypatch.setattr(
            run, "python_child", lambda _module, *arguments: [sys.executable, "-c", script, *arguments]
        )

    def stage(self, body: str, limits: ChildLimits = FREE) -> StageEnd:
        self.use(_STAGE.format(body=_IMPORTS + body))
        return self.run(limits)

    def run(self, limits: ChildLimits = FREE) -> StageEnd:
        return run_stage(self.job_dir, Stage.CALIBRATE, limits, lambda *said: self.progress.append(said))


@pytest.fixture
def worker(job_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Worker:
    return Worker(job_dir, monkeypatch)


def test_a_stage_leaves_its_folder_and_its_outcome(worker: Worker, job_dir: Path) -> None:
    end = worker.stage(
        "def run(context):\n"
        "    context.progress(0.5, 'half way', eta_s=1.5, force=True)\n"
        "    (context.out_dir / 'ranges.json').write_text('{}')\n"
        "    return Outcome(results=Result(message='so far'))"
    )

    assert (end.status, end.code, end.retryable) == ("ok", "", False)
    assert end.seconds > 0
    assert worker.progress == [(0.5, "half way", 1.5)]
    outcome = read_outcome(job_dir, Stage.CALIBRATE)
    assert outcome is not None
    assert outcome.results == Result(message="so far")
    assert (job_dir / "calibrate/ranges.json").exists()
    assert not (job_dir / "calibrate.tmp").exists()
    assert (job_dir / "calibrate").stat().st_mode & 0o077 == 0


def test_a_stage_can_be_run_again(worker: Worker, job_dir: Path) -> None:
    worker.stage("def run(context):\n    (context.out_dir / 'old').touch()\n    return Outcome()")
    (job_dir / "calibrate.tmp").mkdir()
    (job_dir / "calibrate.tmp/rest").touch()

    end = worker.stage("def run(context): return Outcome()")

    assert end.status == "ok"
    assert [path.name for path in (job_dir / "calibrate").iterdir()] == ["outcome.json"]


def test_an_interrupted_capture_finds_what_it_had(job_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (job_dir / "capture.tmp").mkdir()
    (job_dir / "capture.tmp/shard-0").touch()
    script = _STAGE.format(body=_IMPORTS + "def run(context): return Outcome()").replace("calibrate", "capture")
    monkeypatch.setattr(run, "python_child", lambda _module, *arguments: [sys.executable, "-c", script, *arguments])

    end = run_stage(job_dir, Stage.CAPTURE, FREE, lambda *_: None)

    assert end.status == "ok"
    assert (job_dir / "capture/shard-0").exists()


def test_a_stage_that_is_run_again_voids_what_later_ones_made_of_it(worker: Worker, job_dir: Path) -> None:
    for stage in ("capture", "validate", "activate"):
        (job_dir / stage).mkdir()

    assert worker.stage("def run(context): return Outcome()").status == "ok"

    assert {path.name for path in job_dir.iterdir() if path.is_dir()} == {"capture", "calibrate"}


@pytest.mark.parametrize(
    "body",
    [
        "def run(context): return Outcome(code='memory_too_high', message='too much', results=Result())",
        "def run(context): raise Refusal('memory_too_high', 'too much')",
    ],
)
def test_a_refusal_keeps_its_folder(worker: Worker, job_dir: Path, body: str) -> None:
    end = worker.stage(body)

    assert (end.status, end.code, end.message) == ("rejected", "memory_too_high", "too much")
    outcome = read_outcome(job_dir, Stage.CALIBRATE)
    assert outcome is not None
    assert outcome.code == "memory_too_high"


def test_a_failure_leaves_no_folder_and_is_not_tried_again(worker: Worker, job_dir: Path) -> None:
    end = worker.stage("def run(context): raise ModelError('model_unreadable', 'truncated; export it again')")

    assert (end.status, end.code, end.retryable) == ("failed", "model_unreadable", False)
    assert end.message == "truncated; export it again"
    assert not (job_dir / "calibrate").exists()


def test_a_bug_is_told_with_its_words(worker: Worker) -> None:
    end = worker.stage("def run(context): raise ValueError('no such tensor')")

    assert (end.status, end.code, end.retryable) == ("failed", "stage_crashed", False)
    assert "ValueError: no such tensor" in end.message


def test_stray_prints_do_not_reach_the_protocol(worker: Worker, caplog: pytest.LogCaptureFixture) -> None:
    end = worker.stage(
        "def run(context):\n"
        "    print('a library says hello')\n"
        '    os.write(1, b\'{"event":"end","status":"failed"}\\n\')\n'
        "    os.system('echo from a shell')\n"
        "    return Outcome()"
    )

    assert end.status == "ok"
    assert "not part of the protocol" not in caplog.text


@pytest.mark.parametrize(
    ("death", "name"),
    [("os.abort()", "SIGABRT"), ("os.kill(os.getpid(), 11)", "SIGSEGV"), ("os.kill(os.getpid(), 9)", "SIGKILL")],
)
def test_a_crash_names_signal_and_last_words_and_may_be_retried(worker: Worker, death: str, name: str) -> None:
    end = worker.stage(f"def run(context):\n    print('loading conv1', file=sys.stderr, flush=True)\n    {death}")

    assert (end.status, end.code, end.retryable) == ("failed", "stage_crashed", True)
    assert name in end.message
    assert end.message.endswith("loading conv1")


def test_a_worker_killed_after_its_last_act_has_done_its_stage(worker: Worker) -> None:
    end = worker.stage(
        "import atexit, edge_agent.worker.__main__ as m\n"
        "m._say = lambda *_, **__: os.kill(os.getpid(), 9)\n"
        "def run(context): return Outcome()"
    )

    assert end.status == "ok"


def test_an_earlier_runs_outcome_does_not_count(worker: Worker) -> None:
    worker.stage("def run(context): return Outcome()")

    worker.use("import sys; sys.exit(1)")
    end = worker.run()

    assert (end.status, end.code, end.retryable) == ("failed", "stage_crashed", True)
    assert "exited with 1" in end.message


def test_lines_that_are_no_protocol_are_dropped(worker: Worker, caplog: pytest.LogCaptureFixture) -> None:
    worker.use(
        'print(\'{"event":"progress","fraction":0.1,"detail":"x"}\')\n'
        'print(\'{"event":"progress","frac\')\nprint(\'[]\')\nprint(\'{"event":"unheard of"}\')\n'
        'print(\'{"event":"end","status":"failed","code":"model_unreadable","message":"m"}\', end=\'\')'
    )

    end = worker.run()

    assert worker.progress == [(0.1, "x", None)]
    assert caplog.text.count("not part of the protocol") == 3
    assert (end.code, end.retryable) == ("stage_crashed", True)  # its last line was never finished


def test_memory_runs_out(worker: Worker) -> None:
    end = worker.stage("def run(context): return bytearray(2**32)", ChildLimits(timeout_s=60, memory_bytes=64 * 2**20))

    assert (end.status, end.code, end.retryable) == ("failed", "out_of_memory", False)
    assert "64 MiB" in end.message


def test_a_runtime_that_could_not_allocate_is_out_of_memory(worker: Worker) -> None:
    end = worker.stage("def run(context): raise RuntimeError('[ONNXRuntimeError] : 6 : std::bad_alloc')")

    assert end.code == "out_of_memory"


def test_time_runs_out(worker: Worker) -> None:
    worker.use("import time; time.sleep(1000)")

    end = worker.run(ChildLimits(timeout_s=0.2))

    assert (end.status, end.code, end.retryable) == ("failed", "stage_timeout", False)


def test_a_full_disk_is_no_space(worker: Worker) -> None:
    end = worker.stage("def run(context): raise OSError(28, 'No space left on device', '/x')")

    assert (end.status, end.code) == ("failed", "no_space")


def test_an_unreadable_task_is_told(worker: Worker, job_dir: Path) -> None:
    (job_dir / "task.json").write_text("{")

    end = worker.stage("def run(context): return Outcome()")

    assert end.status == "failed"
    assert "task.json" in end.message


def test_a_run_tells_its_end_from_its_own_thread(worker: Worker, job_dir: Path) -> None:
    inbox: queue.Queue[StageEnd | str] = queue.Queue()
    worker.use('import time; print(\'{"event":"progress","detail":"here"}\', flush=True); time.sleep(1000)')
    stage_run = StageRun(
        job_dir, Stage.CALIBRATE, FREE, on_progress=lambda _f, detail, _eta: inbox.put(detail), on_end=inbox.put
    )

    stage_run.start()
    first = inbox.get()
    stage_run.stop()
    end = inbox.get()

    assert first == "here"
    assert isinstance(end, StageEnd)
    assert (end.status, end.code) == ("stopped", "canceled")
    assert stage_run.join(60)


@pytest.mark.parametrize("death", ["stop", "crash"])
def test_no_probe_outlives_its_worker(worker: Worker, job_dir: Path, death: str) -> None:
    fifo = job_dir / "feeds"
    os.mkfifo(fifo)
    worker.use(
        _STAGE.format(
            body="import os\nfrom edge_agent.worker.measure.asking import ask\n"
            "from edge_agent.worker.measure.question import Request, Served\n"
            "def run(context):\n"
            "    context.progress(0, str(os.getpid()), force=True)\n"
            f"    ask(Request(feeds={str(fifo)!r}, models=[Served('m', 'onnxruntime')]))"
        )
    )
    inbox: queue.Queue[str] = queue.Queue()
    ends: queue.Queue[StageEnd] = queue.Queue()
    stage_run = StageRun(
        job_dir, Stage.CALIBRATE, FREE, on_progress=lambda _f, detail, _eta: inbox.put(detail), on_end=ends.put
    )

    stage_run.start()
    worker_process = psutil.Process(int(inbox.get()))
    with fifo.open("wb"):  # returns once the probe reads its feeds, for which it will wait in vain
        (probe_process,) = worker_process.children()
        stage_run.stop() if death == "stop" else worker_process.send_signal(signal.SIGSEGV)
        end = ends.get()
        assert gone(probe_process.pid)

    assert end.status == ("stopped" if death == "stop" else "failed")


def test_an_end_is_told_whatever_happens(worker: Worker, job_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox: queue.Queue[StageEnd] = queue.Queue()

    def refuse(*_: object) -> None:
        raise ValueError("a broken callback")

    worker.use('print(\'{"event":"progress"}\', flush=True); import time; time.sleep(1000)')
    StageRun(job_dir, Stage.CALIBRATE, FREE, on_progress=refuse, on_end=inbox.put).start()
    broken = inbox.get()
    monkeypatch.setattr(run, "python_child", lambda *_: ["/does/not/exist"])
    StageRun(job_dir, Stage.CALIBRATE, FREE, on_progress=refuse, on_end=inbox.put).start()
    missing = inbox.get()

    assert (broken.code, broken.retryable) == ("stage_crashed", False)
    assert "a broken callback" in broken.message
    assert (missing.code, missing.retryable) == ("stage_crashed", True)
    assert "could not be started" in missing.message


def test_an_outcome_that_cannot_be_read_is_a_crash(worker: Worker) -> None:
    worker.use(
        "import pathlib, sys; d = pathlib.Path(sys.argv[2], 'calibrate'); d.mkdir(); (d / 'outcome.json').touch()"
    )

    end = worker.run()

    assert (end.status, end.code, end.retryable) == ("failed", "stage_crashed", True)


def test_a_run_stopped_before_it_began(job_dir: Path) -> None:
    inbox: queue.Queue[StageEnd] = queue.Queue()
    stage_run = StageRun(job_dir, Stage.CALIBRATE, FREE, on_progress=lambda *_: None, on_end=inbox.put)

    stage_run.stop()
    stage_run.start()

    assert inbox.get().status == "stopped"


def test_an_unknown_stage_is_a_usage_error(worker: Worker, job_dir: Path) -> None:
    worker.use("from edge_agent.worker.__main__ import main; import sys; sys.exit(main(['receive', '/']))")

    end = worker.run()

    assert "exited with 2" in end.message
    assert "usage" in end.message


def test_a_flood_of_lines_reaches_neither_inbox_nor_log(worker: Worker, caplog: pytest.LogCaptureFixture) -> None:
    """A model that has taken over its worker writes as fast as a pipe takes it."""
    worker.use(
        "import sys, json\n"
        "line = json.dumps({'event': 'progress', 'fraction': 0.5, 'detail': 'n' * 9000, 'eta_s': 1e300})\n"
        "sys.stdout.write((line + '\\nnot of the protocol\\n') * 20_000)\n"
        "print(json.dumps({'event': 'end', 'status': 'failed', 'code': 'model_unreadable', 'message': 'm' * 9000}))"
    )

    end = worker.run()

    assert len(worker.progress) < 2000  # a few a second, however long it took
    assert {len(detail) for _, detail, _ in worker.progress} == {300}
    assert {eta for _, _, eta in worker.progress} == {10 * 365 * 86_400.0}
    assert caplog.text.count("not part of the protocol (") == 5
    assert "wrote 19995 more lines that are not part of the protocol" in caplog.text
    assert end.code == "model_unreadable"
    assert len(end.message) == 2000


def test_names_of_megabytes_are_cut_by_the_worker_itself(worker: Worker, job_dir: Path) -> None:
    """A sound model may have them; what is said of it is said all the same."""
    end = worker.stage(
        "from edge_agent.jobs.result import LayerLoss, MeasuredModel\n"
        "def run(context):\n"
        "    name = 'n' * (8 << 20)\n"
        "    context.progress(0.5, name, force=True)\n"
        "    layers = [LayerLoss(name=name, cause='clipped')] * 20\n"
        "    candidates = [MeasuredModel(method='static', float_layers=[name] * 500, message=name)] * 24\n"
        "    return Outcome(results=Result(layers=layers, candidates=candidates))"
    )

    outcome = read_outcome(job_dir, Stage.CALIBRATE)
    assert end.status == "ok"
    assert [len(detail) for _, detail, _ in worker.progress] == [300]
    assert outcome is not None
    assert isinstance(outcome.results, Result)
    assert len(outcome.results.layers) == 20
    assert len(outcome.results.candidates) == 24
    assert outcome.results.layers[0].cause == "clipped"
    assert (job_dir / "calibrate/outcome.json").stat().st_size <= 1 << 20


@pytest.mark.parametrize("what", ["a link", "a file", "a folder nobody may enter"])
def test_what_an_earlier_stage_has_put_in_the_way_of_one_goes(worker: Worker, job_dir: Path, what: str) -> None:
    """Else its own words would be taken for those of the stage that is run now."""
    (job_dir / "capture").mkdir()
    (job_dir / "capture/outcome.json").write_text('{"code": ""}')
    match what:
        case "a link":
            (job_dir / "calibrate").symlink_to("capture")
        case "a file":
            (job_dir / "calibrate").touch()
        case _:
            (job_dir / "calibrate/inside").mkdir(parents=True)
            (job_dir / "calibrate").chmod(0)

    worker.use("import sys; sys.exit(1)")
    end = worker.run()

    assert (end.status, end.code) == ("failed", "stage_crashed")
    assert not (job_dir / "calibrate").exists()
    assert (job_dir / "capture/outcome.json").exists()
