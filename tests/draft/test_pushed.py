"""The draft for each model of ours is taken by ``push-model --dry-run`` once its source is named, and nothing else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto, helper
from support import onnx_models, tflite_models
from support.brokers import Broker
from support.demo import MODEL, TFLITE_MODEL
from support.fake_device import FakeDevice
from support.host import Host
from support.onnx_models import model, value

from edge_agent.draft.guess import guess
from edge_agent.draft.manifest import draft
from edge_agent.model_file.signature import read_signature


def picture_net() -> Any:
    """Pictures whose sides are open, and a mask."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Sigmoid", ["c"], ["y"]),
    ]
    sides = ["n", "h", "w"]
    inputs, outputs = [value("x", ["n", 3, "h", "w"])], [value("y", [sides[0], 1, sides[1], sides[2]])]
    return model(nodes, inputs, outputs, {"w": onnx_models.weights(1, 3, 3, 3)})


def token_net() -> Any:
    """Whole numbers, as a classifier of bytes has them."""
    nodes = [
        helper.make_node("Cast", ["bytes"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["f", "w"], ["l"]),
        helper.make_node("Softmax", ["l"], ["y"]),
    ]
    inputs = [value("bytes", [1, 256], TensorProto.INT32)]
    return model(nodes, inputs, [value("y", [1, 9])], {"w": onnx_models.weights(256, 9)})


def spectrum_net() -> Any:
    """Frames of a sound's MFCC, as MLPerf Tiny's keyword spotter has them."""
    nodes = [
        helper.make_node("Flatten", ["x"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["l"]),
        helper.make_node("Softmax", ["l"], ["y"]),
    ]
    return model(nodes, [value("x", ["n", 49, 10, 1])], [value("y", ["n", 12])], {"w": onnx_models.weights(490, 12)})


ONNX: tuple[Callable[[], Any], ...] = (
    onnx_models.conv_net, onnx_models.separable_net, onnx_models.mlp, onnx_models.two_inputs,
    onnx_models.stateful_net, picture_net, token_net, spectrum_net,
)  # fmt: skip
TFLITE = (tflite_models.conv_net, tflite_models.mlp, tflite_models.stateful_net, tflite_models.hybrid_net)


def assert_taken(path: Path, broker: Broker, namespace: str, host: Host) -> None:
    signature = read_signature(path)
    channels = [f"c{number}" for number in range(guess(signature).feed.channels)]
    host.model = path
    host.write_manifest(draft(path.name, "m", signature).replace('source = ""', 'source = "s"'))
    sources = {"s": {"kind": "serial", "channels": channels, "rate_hz": 50}}

    with FakeDevice(broker.url, namespace, "pi-01", sources=sources):
        ended = host.push("--device", "pi-01", "--dry-run", "--json")

    assert (ended.exit, ended.err) == (0, "")
    assert ended.events[0]["manifest"]["inputs"]


@pytest.fixture
def host(
    broker: Broker, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Host:
    return Host(broker.url, namespace, tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize("path", [MODEL, TFLITE_MODEL], ids=lambda path: path.name)
def test_the_demos_models(path: Path, broker: Broker, namespace: str, host: Host) -> None:
    assert_taken(path, broker, namespace, host)


@pytest.mark.parametrize("make", ONNX, ids=lambda make: make.__name__)
def test_an_onnx_model(make: Callable[[], Any], broker: Broker, namespace: str, host: Host, tmp_path: Path) -> None:
    assert_taken(onnx_models.save(make(), tmp_path / "m.onnx"), broker, namespace, host)


@pytest.mark.parametrize("make", TFLITE, ids=lambda make: make.__name__)
def test_a_tflite_model(make: Callable[[], bytes], broker: Broker, namespace: str, host: Host, tmp_path: Path) -> None:
    assert_taken(tflite_models.save(make(), tmp_path / "m.tflite"), broker, namespace, host)
