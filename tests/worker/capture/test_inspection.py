"""Who opens a sensor opens no model: another process does, and what it leaves is taken for foreign."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from support.captures import CHANNELS, context, motion
from support.trained import write_classifier

from edge_agent.errors import EdgeAgentError, LimitError, Refusal, StageError
from edge_agent.jobs.outcome import Outcome
from edge_agent.jobs.task import INSPECT, INSPECTED_FILE, OUTCOME_FILE, TASK_FILE, Task
from edge_agent.state.durable import write_durably
from edge_agent.wire.manifest import InputContract, Recipe, Window
from edge_agent.worker.capture import inspection
from edge_agent.worker.context import Context

LOADED = """
import json, sys
from edge_agent.worker import __main__ as worker
code = worker.main(["capture", sys.argv[1]])
print(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def make_job(folder: Path, **changes: Any) -> Context:
    write_classifier(folder / "model.onnx")
    np.savez(folder / "r.npz", samples=motion(6000))
    source = {"kind": "replay", "path": str(folder / "r.npz"), "channels": CHANNELS, "rate_hz": 50, "rate": "max"}
    steps = [{"op": "transpose", "axes": [1, 0]}]
    plain = Task(
        job="j", name="m", version=1, format="onnx", model="model.onnx", sources={"imu": source},
        inputs=[InputContract(source="imu", channels=CHANNELS, window=Window(64, 32), steps=steps)],
        recipe=Recipe(calibration_windows=40, search_windows=20, heldout_windows=40),
    )  # fmt: skip
    task = msgspec.structs.replace(plain, **changes)
    write_durably(folder / TASK_FILE, msgspec.json.encode(task))
    return context(folder, task)


def test_the_process_with_the_sensor_loads_nothing_that_opens_a_model(tmp_path: Path) -> None:
    make_job(tmp_path)

    argv = [sys.executable, "-c", LOADED, str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120)

    code, loaded = json.loads(done.stderr.splitlines()[-1])
    assert code == 0, done.stdout
    assert json.loads(done.stdout.splitlines()[-1])["status"] == "ok", done.stdout
    assert (tmp_path / "capture/sets.json").exists()
    assert (tmp_path / INSPECT / INSPECTED_FILE).exists()
    assert not {"onnx", "onnxruntime", "google"} & set(loaded)


def test_what_the_other_process_finds_is_what_one_would_find_oneself(tmp_path: Path) -> None:
    here = make_job(tmp_path)

    found = inspection.look_apart(here)

    assert found == inspection.Inspected(inspection.look_at_model(here))


def test_why_a_model_is_refused_is_passed_on(tmp_path: Path) -> None:
    here = make_job(tmp_path, recipe=Recipe(io="int8"))

    with pytest.raises(EdgeAgentError) as caught:
        inspection.look_apart(here)

    assert caught.value.code == "recipe_unsupported"
    assert "io 'int8' is for .tflite models" in caught.value.message


def test_a_model_without_room_for_its_job_is_refused_before_the_sensor_is_opened(tmp_path: Path) -> None:
    here = make_job(tmp_path, memory_bytes=60 << 20)
    (tmp_path / "r.npz").unlink()  # a sensor that is asked now would fail in another way

    with pytest.raises(EdgeAgentError) as caught:
        inspection.look_apart(here)

    assert caught.value.code == "out_of_memory"
    assert "takes at least 69 MiB of memory, but a worker may take only 60 MiB here" in caught.value.message


def stand_in(monkeypatch: pytest.MonkeyPatch, code: str, *, leaves: Callable[[], None] = lambda: None) -> None:
    """Another process than ours, with the same argument; when it is started, ``leaves`` is there."""

    def argv(_module: str, _step: str, folder: str) -> list[str]:
        leaves()
        return [sys.executable, "-c", code, folder]

    monkeypatch.setattr(inspection, "python_child", argv)


CRASHES = """
import os, pathlib, sys
pathlib.Path(sys.argv[1], f"{os.getpid()}.ran").touch()
os.abort()
"""


def test_a_crash_is_told_after_a_second_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = make_job(tmp_path)
    stand_in(monkeypatch, CRASHES)

    with pytest.raises(StageError, match="SIGABRT"):
        inspection.look_apart(here)

    assert len(list(tmp_path.glob("*.ran"))) == 2


def test_what_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = make_job(tmp_path)
    monkeypatch.setattr(inspection, "_TIMEOUT_S", 0.5)
    stand_in(monkeypatch, "import time; time.sleep(1000)")

    with pytest.raises(LimitError) as caught:
        inspection.look_apart(here)

    assert caught.value.code == "stage_timeout"


def leave(here: Context, what: str) -> None:
    """What a model that has taken over may leave."""
    folder = here.job_dir / INSPECT
    folder.mkdir()
    (folder / OUTCOME_FILE).write_bytes(msgspec.json.encode(Outcome()))
    place = folder / INSPECTED_FILE
    match what:
        case "pipe":
            os.mkfifo(place)
        case "link":
            (here.job_dir / "elsewhere").write_bytes(b"{}")
            place.symlink_to(here.job_dir / "elsewhere")
        case "large":
            place.write_bytes(b" " * (2 << 20))
        case "other":
            place.write_bytes(b'{"info": {"inputs": 3}}')
        case "code":
            (folder / OUTCOME_FILE).write_bytes(msgspec.json.encode(Outcome(code="mine", message="x" * 10_000)))


@pytest.mark.parametrize("what", ["pipe", "link", "large", "other", "none"])
def test_what_is_none_of_ours_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    here = make_job(tmp_path)
    stand_in(monkeypatch, "pass", leaves=partial(leave, here, what))

    with pytest.raises(StageError):
        inspection.look_apart(here)


def test_its_words_are_cut_and_its_codes_are_known_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = make_job(tmp_path)
    stand_in(monkeypatch, "pass", leaves=partial(leave, here, "code"))

    with pytest.raises(Refusal) as caught:
        inspection.look_apart(here)

    assert caught.value.code == "stage_crashed"
    assert len(caught.value.message) == 600
