"""Optimised forms in a search: real models, real processes. Float stands for all, as it needs no search."""

import io
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support import formed
from support.onnx_models import conv_net

from edge_agent.backends import Backend, load
from edge_agent.device.optimized_form import FORM_FILES, OPTIMIZED_FILE, WEIGHTS_FILE
from edge_agent.jobs.result import MeasuredModel
from edge_agent.jobs.task import FLOAT_FORM, ArrayFiles, Stage, read_task
from edge_agent.worker.__main__ import run
from edge_agent.worker.context import Context
from edge_agent.worker.data.dataset import open_dataset
from edge_agent.worker.forms import making
from edge_agent.worker.forms.files import key_here, served_float
from edge_agent.worker.forms.making import Made
from edge_agent.worker.measure.feeds import write_feeds
from edge_agent.worker.measure.question import Served
from edge_agent.worker.search import forms
from edge_agent.worker.search.forms import FormTrials, worth_trying

RECORD = MeasuredModel(method="float", runtime="onnxruntime", threads=1, latency_p50_ms=1.0)


class FloatAlone:
    """What an evaluator is before any candidate: the float model, served as it is."""

    reference = RECORD

    def __init__(self, model: Path, feeds: Path) -> None:
        self.feeds = feeds
        self.forms: dict[str, Path] = {}
        self._model = str(model)

    def float_served(self) -> Served:
        return Served(self._model, "onnxruntime")


class Rig:
    """A captured job whose float model may get a form."""

    def __init__(self, folder: Path, built: Any = None, **task: Any) -> None:
        self.job_dir = formed.make_job(folder, built, **task)
        run(Stage.CAPTURE, self.job_dir, io.StringIO())
        out = folder / "quantize.tmp"
        out.mkdir()
        self.context = Context(
            job_dir=self.job_dir, out_dir=out, task=read_task(self.job_dir), stage=Stage.QUANTIZE, sink=lambda *_: None
        )
        backend: Backend = load("onnx")
        info = backend.inspect(self.context.model_path)
        data = open_dataset(self.context, info)
        write_feeds(out / "feeds.npz", next(iter(data.rows("search"))).feeds)
        self.evaluator = FloatAlone(self.context.model_path, out / "feeds.npz")
        evaluator: Any = self.evaluator
        self.trials = FormTrials(self.context, backend, info, data, evaluator)

    @property
    def files(self) -> set[str]:
        """What of a form is left."""
        return {path.name for path in (self.context.out_dir / FLOAT_FORM).glob("*")} - {"key"}


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


@pytest.fixture
def worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is gained is no subject."""
    monkeypatch.setattr(forms, "gains", lambda *_: True)


def test_a_form_that_is_worth_it_is_served_from_then_on(rig: Rig) -> None:
    record = rig.trials.of_float(RECORD)

    form = rig.context.out_dir / FLOAT_FORM / OPTIMIZED_FILE
    assert rig.evaluator.forms == {str(rig.context.model_path): form}
    assert rig.files == set(FORM_FILES)
    assert record.form_bytes == sum((form.parent / name).stat().st_size for name in FORM_FILES)
    assert served_float(rig.context.model_path, rig.context.out_dir, key_here(load("onnx"), "onnxruntime")) == form
    assert rig.trials.warnings == []
    assert rig.trials.seconds > 0


def test_a_form_is_tried_once(rig: Rig, worth_it: None) -> None:
    first, seconds = rig.trials.of_float(RECORD), rig.trials.seconds

    assert rig.trials.of_float(RECORD) == first
    assert rig.trials.seconds == seconds


def test_a_form_that_gains_nothing_is_not_kept(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "gains", lambda *_: False)

    assert rig.trials.of_float(RECORD) == RECORD
    assert (rig.evaluator.forms, rig.files, rig.trials.warnings) == ({}, set(), [])


def test_a_form_that_answers_otherwise_is_not_kept(rig: Rig, worth_it: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """One bit of a weight is another than the runtime has left it."""

    def spoilt(model_format: str, served: Served, folder: Path, timeout_s: float) -> Made:
        made = making.make_form(model_format, served, folder, timeout_s)
        content = bytearray((folder / WEIGHTS_FILE).read_bytes())
        content[len(content) // 2 + 2] ^= 1
        (folder / WEIGHTS_FILE).write_bytes(content)
        return made

    monkeypatch.setattr(forms, "make_form", spoilt)

    assert rig.trials.of_float(RECORD) == RECORD
    assert (rig.evaluator.forms, rig.files) == ({}, set())
    (warning,) = rig.trials.warnings
    assert warning.startswith("float is served without an optimised form: the form's outputs")


@pytest.mark.parametrize(
    ("program", "words"),
    [("kill -SEGV $$", "was killed by SIGSEGV"), ("echo no kernel here >&2; exit 1", "no kernel here")],
)
def test_a_runtime_that_crashes_or_refuses_leaves_no_form_and_the_job_goes_on(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, program: str, words: str
) -> None:
    monkeypatch.setattr(making, "python_child", lambda *_: ["/bin/sh", "-c", program])

    assert rig.trials.of_float(RECORD) == RECORD
    assert rig.files == set()
    (warning,) = rig.trials.warnings
    assert words in warning


def test_a_form_that_cannot_be_opened_is_not_kept(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut_short(model_format: str, served: Served, folder: Path, timeout_s: float) -> Made:
        made = making.make_form(model_format, served, folder, timeout_s)
        (folder / WEIGHTS_FILE).write_bytes(b"")
        return made

    monkeypatch.setattr(forms, "make_form", cut_short)

    assert rig.trials.of_float(RECORD) == RECORD
    assert len(rig.trials.warnings) == 1
    assert rig.files == set()


def test_a_form_that_is_larger_than_a_release_takes_is_not_kept(tmp_path: Path, worth_it: None) -> None:
    rig = Rig(tmp_path, formed.bulky_net())

    assert rig.trials.of_float(RECORD) == RECORD
    assert (rig.evaluator.forms, rig.files) == ({}, set())
    assert rig.trials.warnings == [
        "float is served without an optimised form: it would take more than 68 MiB on the disk"
    ]


def test_both_files_of_a_form_count(rig: Rig, worth_it: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file may be as large as that, so the process that makes them is not stopped."""
    monkeypatch.setattr(forms, "most_form_bytes", lambda _size: (rig.context.out_dir / "feeds.npz").stat().st_size)

    assert rig.trials.of_float(RECORD) == RECORD
    assert rig.files == set()
    assert len(rig.trials.warnings) == 1


@pytest.mark.parametrize("slow", ["exec sleep 60", "kill -ALRM $$"])
def test_after_a_form_that_took_too_long_none_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: str
) -> None:
    """The process is ended by this one, or, where this one may not, by the kernel."""
    rig = Rig(tmp_path, stage_timeout_s=60)
    monkeypatch.setattr(forms, "_SHARE", 0.02)
    monkeypatch.setattr(forms.memory, "expected_s", lambda *_: 0.0)
    monkeypatch.setattr(making, "python_child", lambda *_: ["/bin/sh", "-c", slow])

    assert rig.trials.of_float(RECORD) == RECORD
    assert rig.trials.warnings == ["float is served without an optimised form: it took longer than 1 s"]
    monkeypatch.undo()
    rig.trials._tried.clear()
    assert rig.trials.of_float(RECORD) == RECORD
    assert len(rig.trials.warnings) == 1


def test_a_form_gets_no_more_time_than_a_share_of_what_the_stage_has_left(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []

    def none(_format: str, _served: Served, _folder: Path, timeout_s: float) -> Made:
        given.append(timeout_s)
        return Made(None)

    monkeypatch.setattr(forms, "make_form", none)
    rig.trials.of_float(RECORD)
    (tmp_path / "short").mkdir()
    Rig(tmp_path / "short", stage_timeout_s=400).trials.of_float(RECORD)

    assert given[0] == 300
    assert 50 < given[1] <= 100


def test_a_full_disk_leaves_no_form_and_is_told_once(rig: Rig, worth_it: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file of the process that makes it may be larger than 1 MiB."""
    real, full = making.python_child, ["/bin/sh", "-c", 'ulimit -f 2048; exec "$@"', "sh"]
    monkeypatch.setattr(making, "python_child", lambda *arguments: [*full, *real(*arguments)])

    assert rig.trials.of_float(RECORD) == RECORD
    assert rig.files == set()
    rig.trials._tried.clear()
    rig.trials.of_float(RECORD)
    assert rig.trials.warnings == [
        "float is served without an optimised form: it could not be written; free space in state_dir"
    ]


def test_a_folder_that_cannot_be_made_ends_nothing(rig: Rig) -> None:
    (rig.context.out_dir / FLOAT_FORM).touch()

    assert rig.trials.of_float(RECORD) == RECORD
    assert len(rig.trials.warnings) == 1


def test_a_stage_without_time_makes_none(tmp_path: Path) -> None:
    rig = Rig(tmp_path, stage_timeout_s=2)

    assert rig.trials.of_float(RECORD) == RECORD
    assert rig.trials.seconds == 0


def test_small_models_arrays_and_jobs_for_size_have_no_forms(tmp_path: Path) -> None:
    job_dir = formed.make_job(tmp_path)
    task, info = read_task(job_dir), load("onnx").inspect(job_dir / "model.onnx")
    small = load("onnx").inspect(formed.save(conv_net(), tmp_path / "small.onnx"))
    for_size = msgspec.structs.replace(task.recipe, prefer="size")

    assert worth_trying(task, info)
    assert not worth_trying(task, small)
    assert not worth_trying(msgspec.structs.replace(task, arrays=ArrayFiles("c.npz")), info)
    assert not worth_trying(msgspec.structs.replace(task, recipe=for_size), info)
