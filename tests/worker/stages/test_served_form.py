"""A whole job of a model that is worth an optimised form: each stage in its confined process, the real runtime."""

import io
import resource
import shutil
from pathlib import Path

import msgspec
import pytest
from support import formed

from edge_agent.backends import load
from edge_agent.device.optimized_form import FORM_FILES, OPTIMIZED_FILE
from edge_agent.foreign.opening import read_file
from edge_agent.jobs.outcome import read_outcome, read_result
from edge_agent.jobs.task import CHOSEN_FORM, FLOAT_FORM, Stage
from edge_agent.state.model_file import sha256_of
from edge_agent.worker.__main__ import run
from edge_agent.worker.forms.files import copy_form, form_bytes, key_here, seal_form, served_file, served_float
from edge_agent.worker.measure.asking import Probes
from edge_agent.worker.measure.question import Answer, Request

KEY = key_here(load("onnx"), "onnxruntime")
ELSEWHERE = "onnxruntime 1.0.0 riscv64 0123456789abcdef"
STAGES = (Stage.CAPTURE, Stage.CALIBRATE, Stage.QUANTIZE, Stage.VALIDATE, Stage.BENCHMARK)


@pytest.fixture(scope="module")
def job_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    job_dir = formed.make_job(tmp_path_factory.mktemp("formed"))
    end = formed.run_workers(job_dir, *STAGES)
    assert end.status == "ok", end
    return job_dir


def test_float_and_the_accepted_model_have_forms_that_are_what_was_judged(job_dir: Path) -> None:
    for stage, name in ((Stage.QUANTIZE, FLOAT_FORM), (Stage.VALIDATE, CHOSEN_FORM)):
        outcome, folder = read_outcome(job_dir, stage), job_dir / Stage.QUANTIZE / name

        assert outcome is not None
        assert outcome.form_sha256 == {name: sha256_of(folder / name) for name in FORM_FILES}
    assert served_file(job_dir / "quantize/chosen.onnx", KEY).parent.name == CHOSEN_FORM
    assert served_float(job_dir / "model.onnx", job_dir / "quantize", KEY).parent.name == FLOAT_FORM


def test_the_size_that_is_judged_is_that_of_both_files(job_dir: Path) -> None:
    result, folder = read_result(job_dir), job_dir / Stage.QUANTIZE
    chosen, reference = result.chosen, result.reference

    assert chosen is not None
    assert reference is not None
    assert chosen.size_bytes == (folder / "chosen.onnx").stat().st_size
    assert chosen.form_bytes == form_bytes(folder / CHOSEN_FORM)
    assert reference.form_bytes == form_bytes(folder / FLOAT_FORM)
    both = (chosen.size_bytes + (chosen.form_bytes or 0)) / (job_dir / "model.onnx").stat().st_size
    values = {gate.title: gate.value for gate in chosen.gates}
    assert values["max_size_ratio"] == pytest.approx(both)
    assert values["min_gain (size)"] == pytest.approx(1 - both)


def test_what_is_judged_and_measured_is_the_form_alone(job_dir: Path, tmp_path: Path) -> None:
    """With nothing in the model file of the candidate: who opens it fails."""
    moved = shutil.copytree(job_dir, tmp_path / "job")
    model = moved / "quantize/chosen.onnx"
    model.write_bytes(bytes(model.stat().st_size))

    end = formed.run_workers(moved, Stage.VALIDATE, Stage.BENCHMARK)

    chosen = read_result(moved).chosen
    assert end.status == "ok", end
    assert chosen is not None
    assert chosen.form_bytes == form_bytes(moved / Stage.QUANTIZE / CHOSEN_FORM)
    assert chosen.steady_rss_bytes is not None


def test_memory_is_that_of_forms(job_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An application that knows nothing of them loads the pushed file."""
    moved, real = shutil.copytree(job_dir, tmp_path / "job"), Probes.ask
    asked: list[tuple[str, bool]] = []

    def ask(probes: Probes, request: Request) -> Answer:
        asked.extend((str(Path(one.path).relative_to(moved)), one.usual) for one in request.models)
        return real(probes, request)

    monkeypatch.setattr(Probes, "ask", ask)
    run(Stage.BENCHMARK, moved, io.StringIO())

    assert {path for path, usual in asked if not usual} == {
        f"{Stage.QUANTIZE}/{name}/{OPTIMIZED_FILE}" for name in (FLOAT_FORM, CHOSEN_FORM)
    }
    assert {path for path, usual in asked if usual} == {"model.onnx"}
    usual = read_result(moved).usual
    assert usual is not None
    assert usual.form_bytes is None


def test_other_records_have_no_form(job_dir: Path) -> None:
    result = read_result(job_dir)

    formed_ones = [one for one in result.candidates if one.form_bytes is not None]
    assert len(formed_ones) == 1
    assert b"form_bytes" in read_file(job_dir, "quantize", "candidates.json")


def test_a_form_of_another_runtime_is_not_opened_and_not_released(job_dir: Path, tmp_path: Path) -> None:
    """As after an upgrade between two stages. What is in the file would end the stage, if it were opened."""
    moved = shutil.copytree(job_dir, tmp_path / "job")
    for name in (CHOSEN_FORM, FLOAT_FORM):
        folder = moved / Stage.QUANTIZE / name
        (folder / OPTIMIZED_FILE).write_bytes(b"no model")
        seal_form(folder, ELSEWHERE)

    end = formed.run_workers(moved, Stage.VALIDATE, Stage.BENCHMARK)

    outcome, chosen = read_outcome(moved, Stage.VALIDATE), read_result(moved).chosen
    assert end.status == "ok", end
    assert outcome is not None
    assert outcome.form_sha256 is msgspec.UNSET
    assert chosen is not None
    assert chosen.form_bytes is None
    size = (moved / "quantize/chosen.onnx").stat().st_size / (moved / "model.onnx").stat().st_size
    assert {gate.title: gate.value for gate in chosen.gates}["max_size_ratio"] == pytest.approx(size)


def test_a_form_that_does_not_fit_on_the_disk_leaves_nothing(job_dir: Path, tmp_path: Path) -> None:
    target = tmp_path / "chosen.onnx"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
    try:
        copied = copy_form(job_dir / "quantize/chosen.onnx", target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert not copied
    assert list(tmp_path.iterdir()) == []
    assert copy_form(job_dir / "quantize/chosen.onnx", target)
    assert served_file(target, KEY) == tmp_path / CHOSEN_FORM / OPTIMIZED_FILE
