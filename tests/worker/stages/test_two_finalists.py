"""Two finalists before the held-out set: real stages; one finalist's file is changed where it must be refused."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import msgspec
import onnx
import pytest
from msgspec.structs import replace
from onnx import numpy_helper
from support.documents import MINIMAL
from support.jobs import make_job, run_stages
from support.results import read_results
from support.trained import windows

from edge_agent.backends import CandidateSpec
from edge_agent.daemon.activation.release_steps import chosen_model
from edge_agent.jobs.outcome import read_result
from edge_agent.jobs.task import OUTCOME_FILE, Stage, chosen_folder
from edge_agent.quant.bounds import agreement_lower
from edge_agent.wire.manifest import Gates, Recipe
from edge_agent.worker.artefacts import (
    SECOND_FILE,
    chosen_path,
    read_chosen,
    read_finalists,
    second_path,
)
from edge_agent.worker.search import trials
from edge_agent.worker.search.policy import EvaluatedCandidate

pytestmark = [pytest.mark.children(covered=False), pytest.mark.usefixtures("speed_passes")]

OF_THE_FIRST = "a layer of the first"
FAST = Recipe(method="uniform", search_budget_s=1e-6)


def flipped(model: Path) -> bytes:
    """``model`` with its last weights turned round, so that it says something else than float."""
    built = onnx.load(model)
    for tensor in built.graph.initializer:
        if tensor.name in ("w2", "b2"):
            tensor.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(tensor), tensor.name))
    return bytes(built.SerializeToString())


def frozen(folder: Path, classifier: Path, *, bad: tuple[bool, bool], labelled: bool = False) -> Path:
    """A job up to the search, which froze two: float itself in another's name, or turned round where it is bad."""
    data = {"x": windows(240, seed=2)[0]}
    held, _ = windows(300, seed=3)
    came_with = {"x": windows(200, seed=4)[0], "labels": windows(200, seed=4)[1]} if labelled else None
    job_dir = make_job(
        folder, classifier, data, {"x": held}, recipe=FAST, gates=Gates(max_latency_ratio=0), labelled=came_with
    )
    assert run_stages(job_dir, Stage.CAPTURE, Stage.CALIBRATE, Stage.QUANTIZE).code == ""
    quantized = job_dir / Stage.QUANTIZE
    first = replace(read_chosen(quantized), confidence=0.975)
    second = replace(first, number=1, spec=CandidateSpec("static"), record=replace(first.record, method="static"))
    for file, path, chosen, wrong in (
        ("chosen.json", chosen_path(quantized, ".onnx"), first, bad[0]),
        (SECOND_FILE, second_path(quantized, ".onnx"), second, bad[1]),
    ):
        (quantized / file).write_bytes(msgspec.json.encode(chosen))
        path.write_bytes(flipped(classifier) if wrong else classifier.read_bytes())
    before = read_result(job_dir)
    outcome = msgspec.json.decode((quantized / OUTCOME_FILE).read_bytes())
    outcome["results"]["candidates"] = msgspec.to_builtins([first.record, second.record])
    outcome["results"]["layers"] = [{"name": OF_THE_FIRST}]
    assert before.finalist == 0
    (quantized / OUTCOME_FILE).write_bytes(msgspec.json.encode(outcome))
    return job_dir


def validated(job_dir: Path) -> tuple[str, dict[str, Any]]:
    outcome = run_stages(job_dir, Stage.VALIDATE)
    return outcome.code, read_results(job_dir)


def test_the_first_that_passes_is_chosen_and_proves_at_97_5_percent(tmp_path: Path, classifier: Path) -> None:
    job_dir = frozen(tmp_path, classifier, bad=(False, True))

    code, results = validated(job_dir)

    assert code == ""
    assert results["chosen"]["method"] == "uniform"
    assert results["chosen"]["confidence"] == 0.975
    assert results["chosen"]["agreement_lower"] == pytest.approx(agreement_lower(0, 300, 0.975))
    assert results["finalist"] == 0
    assert chosen_folder(job_dir) == job_dir / Stage.QUANTIZE
    assert results["candidates"][1]["code"] is None  # nobody asked it
    assert [layer["name"] for layer in results["layers"]] == [OF_THE_FIRST]


def test_the_second_is_chosen_where_the_first_is_refused(tmp_path: Path, classifier: Path) -> None:
    job_dir = frozen(tmp_path, classifier, bad=(True, False))

    code, results = validated(job_dir)

    assert code == ""
    assert results["chosen"]["method"] == "static"
    assert results["finalist"] == 1
    assert results["candidates"][0]["code"] == "agreement_too_low"
    assert any("two finalists were judged, each at 97.5 %" in one for one in results["data"]["warnings"])
    assert any("agreement_too_low" in one and "the other one passed" in one for one in results["data"]["warnings"])
    assert results["layers"]
    assert OF_THE_FIRST not in [layer["name"] for layer in results["layers"]]
    folder = chosen_folder(job_dir)
    assert folder == job_dir / Stage.VALIDATE
    assert read_chosen(folder).spec.method == "static"
    activated = chosen_model(job_dir, MINIMAL, use_float=False)
    assert activated.path.read_bytes() == classifier.read_bytes()
    assert activated.sha256 == hashlib.sha256(classifier.read_bytes()).hexdigest()
    assert run_stages(job_dir, Stage.BENCHMARK).code == ""
    assert read_results(job_dir)["chosen"]["method"] == "static"


def test_both_refused_is_a_refusal_that_tells_of_the_preferred_one(tmp_path: Path, classifier: Path) -> None:
    job_dir = frozen(tmp_path, classifier, bad=(True, True))

    code, results = validated(job_dir)

    assert code == "agreement_too_low"
    assert [one["code"] for one in results["candidates"]] == ["agreement_too_low"] * 2
    assert results["finalist"] == 0
    assert any("refused as well" in one for one in results["data"]["warnings"])
    assert chosen_folder(job_dir) == job_dir / Stage.QUANTIZE
    assert results["layers"]


def test_the_labelled_set_is_opened_for_each_that_is_judged(tmp_path: Path, classifier: Path) -> None:
    job_dir = frozen(tmp_path, classifier, bad=(True, False), labelled=True)

    code, results = validated(job_dir)

    assert code == ""
    assert results["data"]["eval"]["agreement"] == 1.0


def test_the_search_freezes_a_second_one_that_is_surer(
    tmp_path: Path, classifier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_chances(tried: list[EvaluatedCandidate]) -> list[EvaluatedCandidate]:
        return [dataclasses.replace(one, chance=0.6) for one in tried]

    monkeypatch.setattr(trials, "with_chances", with_chances)
    job_dir = make_job(
        tmp_path,
        classifier,
        {"x": windows(240, seed=2)[0]},
        {"x": windows(300, seed=3)[0]},
        gates=Gates(max_latency_ratio=0),
        recipe=Recipe(method="static", calibration="minmax", search_budget_s=600),
    )

    assert run_stages(job_dir, Stage.CAPTURE, Stage.CALIBRATE, Stage.QUANTIZE).code == ""

    (first, one), (second, other) = read_finalists(job_dir / Stage.QUANTIZE, ".onnx")
    assert first.confidence == second.confidence == 0.975
    assert first.spec != second.spec
    assert first.number != second.number
    assert one.read_bytes() != other.read_bytes()
    candidates = read_result(job_dir).candidates
    assert candidates[second.number].float_layers == second.record.float_layers
    assert run_stages(job_dir, Stage.VALIDATE).code == ""


def test_what_a_version_before_left_is_one_finalist_at_95_percent(tmp_path: Path, classifier: Path) -> None:
    job_dir = frozen(tmp_path, classifier, bad=(False, False))
    quantized = job_dir / Stage.QUANTIZE
    (quantized / SECOND_FILE).unlink()
    old = msgspec.json.decode((quantized / "chosen.json").read_bytes())
    del old["confidence"]
    (quantized / "chosen.json").write_bytes(msgspec.json.encode(old))

    code, results = validated(job_dir)

    assert code == ""
    assert results["chosen"]["confidence"] == 0.95
    assert results["chosen"]["agreement_lower"] == pytest.approx(agreement_lower(0, 300))
