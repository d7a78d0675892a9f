"""An application gets the boxes that were judged, in the pixels of its own frame."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper
from support import onnx_models
from support.detection_heads import SIDE, Floats, scene, ssd, yolov8, yolov8_in_fractions
from support.served import activate

from edge_agent import serving
from edge_agent.errors import ContractError
from edge_agent.quant.agreement import resolve_kind
from edge_agent.state.store import Store
from edge_agent.wire.manifest import InputContract, Output, Window

FRAME = (480, 640)
CAMERA = InputContract(
    source="front",
    channels=["r", "g", "b"],
    window=Window(1, 15),
    frame=FRAME,
    steps=[
        {"op": "letterbox", "size": [SIDE, SIDE]},
        {"op": "scale", "factor": 1 / 255},
        {"op": "transpose", "axes": [0, 3, 1, 2]},
    ],
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "state")
    store.lock()
    yield store
    store.unlock()


def model(folder: Path, **outputs: Any) -> Path:
    """A picture comes in, always the same comes out."""
    nodes = [helper.make_node("ReduceMin", ["x"], ["least"], keepdims=0)]
    nodes += [helper.make_node("Sub", ["least", "least"], ["nothing"])]
    nodes += [helper.make_node("Add", [f"c_{name}", "nothing"], [name]) for name in outputs]
    made = [onnx_models.value(name, list(value.shape)) for name, value in outputs.items()]
    constants = {f"c_{name}": value.astype(np.float32) for name, value in outputs.items()}
    inputs = [onnx_models.value("x", [1, 3, SIDE, SIDE])]
    return onnx_models.save(onnx_models.model(nodes, inputs, made, constants), folder / "m.onnx")


def picture() -> Any:
    return np.random.default_rng(0).integers(0, 256, (1, *FRAME, 3), np.uint8)


def in_the_frame(found: Floats) -> Floats:
    """The letterbox halves a frame and puts 40 rows above it."""
    boxes = (found[:, :4] - [0, 40, 0, 40]) * 2
    return boxes.clip(0, [640, 480, 640, 480])


def meaning(output: Output, sample: list[Any]) -> Output:
    """What was found of an output, when these of float's were judged."""
    return resolve_kind(output, sample, None).output


@pytest.mark.parametrize("head", [yolov8, yolov8_in_fractions])
def test_the_boxes_of_a_head_that_was_found(store: Store, tmp_path: Path, head: Any) -> None:
    random = np.random.default_rng(0)
    found = scene(random, 6)
    output = head(random, found)
    activate(store, 1, model(tmp_path, output0=output), [CAMERA], judged=meaning(Output(), [output]))

    seen = serving.load("har", state_dir=store.root).detections(picture())

    np.testing.assert_allclose(seen.boxes, in_the_frame(found), atol=0.05)
    np.testing.assert_allclose(seen.scores, found[:, 4], atol=1e-3)
    assert seen.classes.tolist() == found[:, 5].tolist()


def test_the_boxes_of_separate_outputs(store: Store, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    found = scene(random, 5)
    joined = ssd(random, found)
    output = Output(kind="detection_head", boxes="boxes", scores="scores", threshold=0.4)
    path = model(tmp_path, scores=joined[None, :, 4:], boxes=joined[None, :, :4])
    activate(store, 1, path, [CAMERA], output=output, judged=meaning(output, [joined]))

    seen = serving.load("har", state_dir=store.root).detections(picture())

    np.testing.assert_allclose(seen.boxes, in_the_frame(found), atol=0.05)
    assert seen.classes.tolist() == found[:, 5].tolist()


def test_a_model_that_suppresses_by_itself_gives_its_own_boxes(store: Store, tmp_path: Path) -> None:
    table = np.array([[[0.1, 0.2, 0.3, 0.4, 0.9, 1], [0.1, 0.2, 0.3, 0.4, 0.2, 1]]])
    output = Output(kind="detection")
    path = model(tmp_path, y=table)
    activate(store, 1, path, [CAMERA], output=output, judged=meaning(output, [table]))

    seen = serving.load("har", state_dir=store.root).detections(picture())

    assert seen.boxes.tolist() == np.float32([[0.1, 0.2, 0.3, 0.4]]).tolist()
    assert seen.classes.tolist() == [1]


def test_what_is_no_detector_has_no_detections(store: Store, tmp_path: Path) -> None:
    activate(store, 1, model(tmp_path, y=np.ones((1, 3))), [CAMERA], output=Output(kind="classes"))

    with pytest.raises(ContractError, match="kind classes, which has no boxes"):
        serving.load("har", state_dir=store.root).detections(picture())


def test_a_release_that_knows_no_layout_says_so(store: Store, tmp_path: Path) -> None:
    """As one that was made before it was kept, of a manifest that does not say it."""
    random = np.random.default_rng(0)
    path = model(tmp_path, output0=yolov8(random, scene(random, 2)))
    activate(store, 1, path, [CAMERA], output=Output(kind="detection_head"))

    with pytest.raises(ContractError, match="set head under"):
        serving.load("har", state_dir=store.root).detections(picture())
