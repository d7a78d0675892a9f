"""A .tflite model on real parts: broker, daemon, pty, int8 release out; and a device on which a runtime crashes."""

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.brokers import Broker
from support.crashing import crash_on_import
from support.demo import TFLITE_MANIFEST, read_recording
from support.device import ONE_CANDIDATE, SMALL_AND_EASY, TFLITE_MODEL, Device, demo_contract, push
from support.results import empty_result
from support.tflite_models import flex_net, int8_net, save
from support.tflite_rig import HAS_TFLITE_RUNTIME, needs_tflite_runtime

from edge_agent import serving
from edge_agent.backends import tflite
from edge_agent.backends.tflite.reading import read_model
from edge_agent.backends.tflite.schema import INT8
from edge_agent.wire.messages import DeviceInfo
from host_tools.demo.simulator import SerialImu

pytestmark = [pytest.mark.slow, pytest.mark.children(covered=False)]


@pytest.fixture
def device(tmp_path: Path, one_broker: Broker, namespace: str) -> Iterator[Device]:
    with Device(tmp_path, one_broker.url, namespace) as device, SerialImu(device.port):
        yield device


def inventory(device: Device) -> DeviceInfo:
    """What the device says of itself once it has looked which runtimes work."""
    return device.expect(DeviceInfo, lambda info: bool(info.runtimes), 60)


def push_model(device: Device) -> subprocess.CompletedProcess[str]:
    """Send the model as an operator does."""
    manifest = device.directory / "har.toml"
    described = TFLITE_MANIFEST.read_text(encoding="utf-8").partition("[recipe]")[0]
    manifest.write_text(described + SMALL_AND_EASY, encoding="utf-8")
    argv = [TFLITE_MODEL, "--manifest", manifest, "--device", device.name, "--timeout", "240"]
    where = ["--broker", device.url, "--namespace", device.namespace]
    return subprocess.run(
        [sys.executable, "-c", "from host_tools.cli.push_model import main; main()", *map(str, argv), *where],
        capture_output=True, text=True, check=False, env={**os.environ, "HOME": str(device.directory)},
    )  # fmt: skip


@pytest.mark.children(covered=True)
def test_a_float_tflite_model_becomes_an_active_int8_release(device: Device, tmp_path: Path) -> None:
    info = inventory(device)
    assert tflite.RUNTIMES[0] in info.runtimes
    assert set(info.formats) == {"onnx", "tflite"}
    push(device, TFLITE_MODEL)

    end = device.end_of(1)

    assert (end.status, end.code) == ("succeeded", "accepted"), end.message
    assert end.results.keys() == empty_result().keys()
    chosen, reference = end.results["chosen"], end.results["reference"]
    assert {chosen["runtime"], reference["runtime"]} <= set(tflite.RUNTIMES)
    assert chosen["runtime_version"] == info.runtimes[chosen["runtime"]]
    assert chosen["size_bytes"] < 0.5 * reference["size_bytes"]
    # What lies on the disk is what was reported, and int8 is really inside.
    active = device.active()
    assert active is not None
    assert (active["file"], active["runtime"]) == ("model.tflite", chosen["runtime"])
    model = device.state / "models" / "har" / "active" / active["file"]
    assert hashlib.sha256(model.read_bytes()).hexdigest() == active["sha256"]
    weights = [tensor for tensor in read_model(model).main.tensors if tensor.constant and tensor.type == INT8]
    assert len(weights) >= 4
    application = serving.load("har", state_dir=device.state)
    window = read_recording().samples[: demo_contract(TFLITE_MODEL)[0].window.size]  # type: ignore[union-attr]
    assert application(window).shape == (1, 7)
    assert np.isfinite(application(window)).all()
    assert application.release.runtime == chosen["runtime"]
    assert not application.stale

    garbage = tmp_path / "garbage.tflite"
    garbage.write_bytes(os.urandom(5000))
    truncated = tmp_path / "truncated.tflite"
    truncated.write_bytes(TFLITE_MODEL.read_bytes()[:-9000])
    quantized, flex = save(int8_net(), tmp_path / "q.tflite"), save(flex_net(), tmp_path / "flex.tflite")
    for version, (code, bad) in enumerate(
        [
            ("model_unreadable", garbage),
            ("model_unreadable", truncated),
            ("already_quantized", quantized),
            ("custom_operator", flex),
        ],
        2,
    ):
        push(device, bad, version=version)
        end = device.end_of(version)
        assert (end.status, end.code) == ("failed", code), end.message
        assert device.active() == active
    assert device.alive


@needs_tflite_runtime
def test_a_runtime_that_crashes_here_is_named_and_the_other_one_serves(
    tmp_path: Path, one_broker: Broker, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash_on_import(monkeypatch, tmp_path, "tflite-runtime")
    with Device(tmp_path, one_broker.url, namespace) as device, SerialImu(device.port):
        info = inventory(device)
        assert info.runtimes.keys() == {"onnxruntime", "ai-edge-litert"}
        assert set(info.formats) == {"onnx", "tflite"}

        pushed = push_model(device)

        assert pushed.returncode == 0, pushed.stdout + pushed.stderr
        assert "har 1  succeeded" in pushed.stdout
        assert re.search(r" runtime +ai-edge-litert \S+ +ai-edge-litert \S+", pushed.stdout), pushed.stdout
        end = device.end_of(1)
        assert {one["runtime"] for one in end.results["candidates"]} == {"ai-edge-litert"}
        (warning,) = [one for one in end.results["data"]["warnings"] if "tflite-runtime" in one]
        assert "left out" in warning
        assert "SIGILL" in warning
        assert "tflite-runtime does not work on this device" in device.log.read_text(encoding="utf-8")


def test_without_any_runtime_the_format_is_refused_before_a_byte_is_fetched(
    tmp_path: Path, one_broker: Broker, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for runtime in ("ai-edge-litert", "tflite-runtime") if HAS_TFLITE_RUNTIME else ("ai-edge-litert",):
        crash_on_import(monkeypatch, tmp_path, runtime)
    with Device(tmp_path, one_broker.url, namespace) as device, SerialImu(device.port):
        info = inventory(device)
        assert info.formats == ["onnx"]
        push(device, TFLITE_MODEL, upload=False)

        end = device.end_of(1)

        assert (end.status, end.code, end.stage) == ("failed", "format_unsupported", "receive"), end.message
        assert "edge-agent doctor" in end.message
        push(device, version=2, recipe=ONE_CANDIDATE)
        assert device.end_of(2).code == "accepted", "the other format goes on"
