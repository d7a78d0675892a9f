"""Which optimised form a release is made with: job folders as workers, or attackers, leave them."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from support.agents import LocalAgent, wanted

from edge_agent.daemon.activation.release_steps import chosen_form, served_form
from edge_agent.device.optimized_form import OPTIMIZED_FILE, WEIGHTS_FILE, form_folder, form_key
from edge_agent.errors import StoreError
from edge_agent.jobs.outcome import Outcome
from edge_agent.jobs.task import CHOSEN_FILE, CHOSEN_FORM, FLOAT_FORM, OUTCOME_FILE, Stage
from edge_agent.state.release import Release
from edge_agent.state.releases import Releases

GRAPH, WEIGHTS = b"a graph", b"weights"
SHA256 = {OPTIMIZED_FILE: hashlib.sha256(GRAPH).hexdigest(), WEIGHTS_FILE: hashlib.sha256(WEIGHTS).hexdigest()}
MANIFEST = wanted(1)


def leave(job_dir: Path, stage: Stage, sha256: dict[str, str] | msgspec.UnsetType) -> None:
    """What a stage says of the form that it has left."""
    (job_dir / stage).mkdir(exist_ok=True)
    (job_dir / stage / OUTCOME_FILE).write_bytes(msgspec.json.encode(Outcome(form_sha256=sha256)))


def put(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / OPTIMIZED_FILE).write_bytes(GRAPH)
    (folder / WEIGHTS_FILE).write_bytes(WEIGHTS)


@pytest.fixture
def job_dir(tmp_path: Path) -> Path:
    put(tmp_path / Stage.QUANTIZE / CHOSEN_FORM)
    put(tmp_path / Stage.QUANTIZE / FLOAT_FORM)
    leave(tmp_path, Stage.QUANTIZE, SHA256)
    leave(tmp_path, Stage.VALIDATE, SHA256)
    return tmp_path


@pytest.mark.parametrize(("use_float", "folder"), [(False, CHOSEN_FORM), (True, FLOAT_FORM)])
def test_the_form_is_that_of_the_model_that_is_released(job_dir: Path, *, use_float: bool, folder: str) -> None:
    files = chosen_form(job_dir, MANIFEST, use_float=use_float)

    assert [file.path for file in files] == [job_dir / Stage.QUANTIZE / folder / name for name in SHA256]
    form, key = served_form(files, "onnxruntime", "1.32.0"), form_key("onnxruntime", "1.32.0")
    assert form is not None
    assert (form.folder, form.key, form.files) == (form_folder(key), key, SHA256)
    assert form.size_bytes == len(GRAPH) + len(WEIGHTS)


def test_the_second_finalists_form_is_where_validation_has_left_it(job_dir: Path) -> None:
    (job_dir / Stage.VALIDATE / CHOSEN_FILE).write_bytes(b"{}")
    put(job_dir / Stage.VALIDATE / CHOSEN_FORM)

    files = chosen_form(job_dir, MANIFEST, use_float=False)

    assert {file.path.parent.parent.name for file in files} == {Stage.VALIDATE}


def test_a_job_that_left_no_form_has_none(job_dir: Path) -> None:
    leave(job_dir, Stage.VALIDATE, msgspec.UNSET)

    assert chosen_form(job_dir, MANIFEST, use_float=False) == ()
    assert served_form((), "onnxruntime", "1.32.0") is None


def test_other_names_than_those_of_a_form_are_not_copied(job_dir: Path) -> None:
    leave(job_dir, Stage.VALIDATE, SHA256 | {"../../../model.onnx": "0" * 64, "more": "0" * 64})

    assert [file.path.name for file in chosen_form(job_dir, MANIFEST, use_float=False)] == list(SHA256)


@pytest.mark.parametrize("name", list(SHA256))
def test_a_file_that_is_not_what_was_judged_is_refused(job_dir: Path, name: str) -> None:
    (job_dir / Stage.QUANTIZE / CHOSEN_FORM / name).write_bytes(b"something else")

    with pytest.raises(StoreError, match="no longer the file that was judged"):
        served_form(chosen_form(job_dir, MANIFEST, use_float=False), "onnxruntime", "1.32.0")


def test_no_link_is_followed(job_dir: Path) -> None:
    place = job_dir / Stage.QUANTIZE / CHOSEN_FORM / OPTIMIZED_FILE
    elsewhere = place.rename(job_dir / "elsewhere")
    place.symlink_to(elsewhere)

    with pytest.raises(StoreError, match="link"):
        served_form(chosen_form(job_dir, MANIFEST, use_float=False), "onnxruntime", "1.32.0")


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[LocalAgent]:
    """Whose job waits for its benchmark, with a form that was accepted."""
    agent = LocalAgent(tmp_path / "state")
    agent.boot()
    agent.stages.held = {Stage.BENCHMARK}
    agent.want()
    while not any(job.stage is Stage.BENCHMARK for job, _ in agent.stages.runs):
        agent.step()
    job_dir = agent.store.work_dir(agent.stages.runs[-1][0].id)
    put(job_dir / Stage.QUANTIZE / CHOSEN_FORM)
    leave(job_dir, Stage.VALIDATE, SHA256)
    yield agent
    agent.off()


def released(agent: LocalAgent) -> Release:
    agent.stages.runs[-1][1].end()
    agent.settle()
    release = Releases(agent.store.models, "har").active()
    assert release is not None
    return release


def test_a_release_serves_the_form_that_was_accepted(agent: LocalAgent, caplog: pytest.LogCaptureFixture) -> None:
    form = released(agent).served

    assert form is not None
    assert form.files == SHA256
    assert "without its optimised form" not in caplog.text


@pytest.mark.parametrize("size", [7, 80 << 20])
def test_a_form_that_cannot_be_used_costs_the_release_its_form_and_no_more(
    agent: LocalAgent, caplog: pytest.LogCaptureFixture, size: int
) -> None:
    """It is not what was judged, or larger than a release takes."""
    with (agent.store.work_dir(agent.stages.runs[-1][0].id) / Stage.QUANTIZE / CHOSEN_FORM / WEIGHTS_FILE).open(
        "wb"
    ) as file:
        file.truncate(size)

    release = released(agent)

    assert release.served is None
    assert not list(Releases(agent.store.models, "har").path(release.name).glob("served-*"))
    assert caplog.text.count("har 1 is released without its optimised form: ") == 1


def test_a_job_whose_model_file_is_bad_as_well_fails(agent: LocalAgent, caplog: pytest.LogCaptureFixture) -> None:
    job = agent.stages.runs[-1][0]
    folder = agent.store.work_dir(job.id) / Stage.QUANTIZE
    (folder / CHOSEN_FORM / WEIGHTS_FILE).write_bytes(b"a bad sector")
    (folder / "chosen.onnx").unlink()

    agent.stages.runs[-1][1].end()
    agent.settle()

    assert agent.agent.jobs[job.id].code == "release_corrupt"
    assert "without its optimised form" not in caplog.text
