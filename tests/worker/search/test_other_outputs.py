"""Outputs that no gate is about: float's are kept, int8's compared, and one that is ruined is named."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.captures import model_info

from edge_agent.contract.scored_output import ScoredOutput
from edge_agent.jobs.measured_outputs import OutputSummary
from edge_agent.jobs.task import Task
from edge_agent.wire.detection_head import Head
from edge_agent.wire.manifest import Gates, Output, State
from edge_agent.worker.data import window_quota
from edge_agent.worker.search.other_outputs import OtherOutputs, other_positions

INFO = model_info(
    {"x": ("float32", (1, 8)), "h": ("float32", (1, 4))},
    {
        "y": ("float32", (1, 3)),
        "age": ("float32", (1, 2)),
        "hN": ("float32", (1, 4)),
        "map": ("float32", (1, 5, 5)),
    },
)
WINDOWS = 30
CELLS = 6
MAPS = model_info(
    {"x": ("float32", (1, 8))},
    {
        "class": ("float32", (1, 3)),
        "heat": ("float32", (1, 2, CELLS, CELLS)),
        "size": ("float32", (1, 2, CELLS, CELLS)),
        "offset": ("float32", (1, 2, CELLS, CELLS)),
        "age": ("float32", (1, 2)),
    },
)
HEAD = Output(
    kind="detection_head",
    boxes="size",
    scores="heat",
    head=Head(layout="centernet", activation="none", offset="offset"),
)


def task(**fields: Any) -> Task:
    return Task(job="j", name="m", version=1, format="onnx", model="m.onnx", state=[State("h", "hN")], **fields)


def outputs(seed: int) -> list[NDArray[Any]]:
    random = np.random.default_rng(seed)
    return [random.normal(size=spec.shape).astype(np.float32) for spec in INFO.outputs]


def seen(number: int) -> list[NDArray[Any]]:
    """A detector's maps with one box in every tenth window, beside a class and an age."""
    random = np.random.default_rng(number)
    made = [random.uniform(0, 0.1, spec.shape).astype(np.float32) for spec in MAPS.outputs]
    made[2] += 2.0
    if number % 10 == 0:
        made[1][0, number // 10 % 2, 3, number % CELLS] = 0.9
    return made


def compared(
    folder: Path,
    change: Any = lambda outputs: outputs,
    floats: Any = outputs,
    info: Any = INFO,
    known: Mapping[str, Output] = MappingProxyType({}),
    **fields: Any,
) -> dict[str, OutputSummary]:
    asked = task(**fields) if info is INFO else Task(job="j", name="m", version=1, format="onnx", model="m", **fields)
    kept = OtherOutputs(info, asked, folder / "float.bin", WINDOWS)
    kept.settle(known)
    for number in range(WINDOWS):
        kept.keep(number, {}, floats(number))
    comparison = kept.compare()
    for number in range(WINDOWS):
        comparison.add(number, None, {}, change(floats(number)))
    kept.close()
    assert list(folder.iterdir()) == []
    return {one.name: one for one in comparison.summaries(asked.gates, in_time=False)}


def test_all_but_the_judged_one_and_state_are_looked_at() -> None:
    assert other_positions(INFO, task()) == [1, 3]
    assert other_positions(INFO, task(output=Output(name="map"))) == [0, 1]


def test_boxes_scores_and_offset_are_one_output() -> None:
    head = Task(job="j", name="m", version=1, format="onnx", model="m", output=HEAD)
    several = Task(job="j", name="m", version=1, format="onnx", model="m", outputs=[Output(name="class"), HEAD])

    assert other_positions(MAPS, head) == [0, 4]
    assert ScoredOutput(MAPS, head).positions == {1, 2, 3}
    assert other_positions(MAPS, several) == [1, 2, 3, 4], "what the search counts the error of beside the first"
    assert ScoredOutput(MAPS, several, HEAD).positions == {1, 2, 3}


def test_a_head_that_is_named_beside_the_first_is_judged_by_its_boxes(tmp_path: Path) -> None:
    """In nine windows of ten there is nothing to be seen, so a dead head agrees there."""
    asked = {"outputs": [Output(name="class"), HEAD], "gates": Gates(min_agreement=0.7)}

    sound = compared(tmp_path, floats=seen, info=MAPS, **asked)
    dead = compared(tmp_path, lambda one: [one[0], one[1] * 0, *one[2:]], floats=seen, info=MAPS, **asked)

    assert {name: one.kind for name, one in sound.items()} == {"size": "detection_head", "age": "raw"}
    assert (sound["size"].code, sound["size"].disagreements) == ("", 0)
    assert dead["size"].disagreements == 3
    assert dead["size"].code == "detections_lost"
    assert dead["size"].message.startswith("output 'size': int8 finds 0 of the 3 boxes that float finds")


def test_what_is_the_same_is_sound(tmp_path: Path) -> None:
    found = compared(tmp_path)

    assert set(found) == {"age", "map"}
    assert [(one.windows, one.agreement, one.code) for one in found.values()] == [(WINDOWS, 1.0, "")] * 2


def test_a_ruined_output_is_named_with_its_number(tmp_path: Path) -> None:
    def ruin(outputs: list[NDArray[Any]]) -> list[NDArray[Any]]:
        return [outputs[0], outputs[1], outputs[2], -outputs[3]]

    found = compared(tmp_path, ruin)

    assert found["map"].code == "output_ruined"
    assert found["map"].message == "output 'map': the SQNR is -6.0 dB; 10 dB are needed"
    assert found["age"].code == ""


def test_outputs_of_megabytes_are_kept_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window_quota, "MOST_BYTES", WINDOWS * 4 * (2 + 25) // 3)

    assert {one.windows for one in compared(tmp_path).values()} == {WINDOWS // 3}


def test_what_an_output_means_stands_from_the_search_on(tmp_path: Path) -> None:
    """The windows of the verdict look like probabilities, or do not, as it happens."""
    search = OtherOutputs(INFO, task(), tmp_path / "float.bin", WINDOWS)
    for number in range(WINDOWS):
        made = outputs(number)
        made[1] = np.array([[0.25, 0.75]]) if number % 2 else np.array([[0.75, 0.25]])
        search.keep(number, {}, made)
    meanings = search.meanings()
    search.close()

    assert {name: one.kind for name, one in meanings.items()} == {"age": "classes", "map": "raw"}
    assert compared(tmp_path)["age"].kind == "raw"
    assert compared(tmp_path, known=meanings)["age"].kind == "classes"


def test_what_float_itself_leaves_undefined_is_not_judged(tmp_path: Path) -> None:
    def broken(seed: int) -> list[NDArray[Any]]:
        made = outputs(seed)
        made[3][0, 0, 0] = np.nan if seed == 7 else 1.0
        return made

    assert set(compared(tmp_path, floats=broken)) == {"age"}


def test_an_output_that_never_changes_refuses_nothing(tmp_path: Path) -> None:
    def still(seed: int) -> list[NDArray[Any]]:
        made = outputs(seed)
        made[3][:] = 1.0
        return made

    found = compared(tmp_path, lambda outputs: [*outputs[:3], outputs[3] * 0], floats=still)

    assert found["map"].code == ""


def test_an_int8_output_that_is_no_number_is_ruined(tmp_path: Path) -> None:
    found = compared(tmp_path, lambda outputs: [*outputs[:3], outputs[3] * np.nan])

    assert found["map"].code == "output_ruined"
    assert found["map"].disagreements == WINDOWS


def test_an_output_that_is_named_is_judged_by_its_own_kind(tmp_path: Path) -> None:
    def turned(outputs: list[NDArray[Any]]) -> list[NDArray[Any]]:
        return [outputs[0], outputs[1] * [[1.0, 0.7]], *outputs[2:]]

    def as_(kind: str) -> dict[str, Any]:
        return {"outputs": [Output(name="y"), Output(name="age", kind=kind)]}  # type: ignore[arg-type]

    assert compared(tmp_path, turned)["age"].code == "", "of its size it is at 12 dB"
    embedding = compared(tmp_path, turned, **as_("embedding"))["age"]
    assert (embedding.kind, embedding.disagreements > WINDOWS / 2) == ("embedding", True)
    assert embedding.code == "too_few_windows", "it takes 59 to prove 95 %, and 30 are here"
    assert embedding.message.startswith("output 'age': 30 windows")


def test_a_named_output_that_says_nothing_proves_nothing(tmp_path: Path) -> None:
    def still(seed: int) -> list[NDArray[Any]]:
        made = outputs(seed)
        made[1][:] = [[0.9, 0.1]]
        return made

    named = [Output(name="y"), Output(name="age", kind="classes")]

    assert compared(tmp_path, floats=still, outputs=named)["age"].code == "no_coverage"


def test_indices_of_a_map_may_flip_where_nobody_named_it(tmp_path: Path) -> None:
    def indices(seed: int) -> list[NDArray[Any]]:
        made = outputs(seed)
        return [*made[:3], (made[3] > 0).astype(np.int64)]

    def flipped(outputs: list[NDArray[Any]]) -> list[NDArray[Any]]:
        other = outputs[3].copy()
        other[0, 0, 0] ^= 1
        return [*outputs[:3], other]

    assert compared(tmp_path, flipped, floats=indices)["map"].code == ""
    assert compared(tmp_path, lambda o: [*o[:3], 1 - o[3]], floats=indices)["map"].code == "output_ruined"
