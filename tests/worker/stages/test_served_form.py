"""A whole job of a model that is worth an optimised form: each stage in its confined process, the real runtime."""

from pathlib import Path

import pytest
from support import formed

from edge_agent.device.optimized_form import FORM_FILES
from edge_agent.foreign.opening import read_file
from edge_agent.jobs.outcome import read_outcome, read_result
from edge_agent.jobs.task import CHOSEN_FORM, FLOAT_FORM, Stage
from edge_agent.state.model_file import sha256_of
from edge_agent.worker.forms.files import form_bytes, served_file, served_float

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
        assert outcome.form_sha256 == {path.name: sha256_of(path) for path in folder.iterdir()}
        assert set(outcome.form_sha256) == set(FORM_FILES)
    assert served_file(job_dir / "quantize/chosen.onnx").parent.name == CHOSEN_FORM
    assert served_float(job_dir / "model.onnx", job_dir / "quantize").parent.name == FLOAT_FORM


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


def test_memory_is_that_of_the_form(job_dir: Path) -> None:
    """An application that knows nothing of it loads the pushed file, and needs more."""
    result = read_result(job_dir)

    assert result.reference is not None
    assert result.usual is not None
    assert (result.reference.model_rss_bytes or 0) < (result.usual.model_rss_bytes or 0)
    assert result.usual.form_bytes is None


def test_other_records_have_no_form(job_dir: Path) -> None:
    result = read_result(job_dir)

    formed_ones = [one for one in result.candidates if one.form_bytes is not None]
    assert len(formed_ones) == 1
    assert b"form_bytes" in read_file(job_dir, "quantize", "candidates.json")
