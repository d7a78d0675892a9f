"""A labelled set pushed with a model, on real parts: broker, daemon, sensor, and verdicts read from the broker."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from support.brokers import Broker
from support.demo import MANIFEST, read_recording
from support.device import DEMO_MODEL, SMALL_AND_EASY, Device, demo_contract, push
from support.host import Ended, Host

from edge_agent.preprocess import Preprocess
from edge_agent.wire.chunks import CHUNK_BYTES, GROUP_CHUNKS, digest_pages
from edge_agent.wire.manifest import Blob
from host_tools.broker.session import Session
from host_tools.broker.settings import Settings
from host_tools.demo.simulator import SerialImu
from host_tools.push.manifest_file import read_blob

pytestmark = [pytest.mark.slow, pytest.mark.children(covered=False)]

WINDOWS = 300


@pytest.fixture
def device(tmp_path: Path, one_broker: Broker, namespace: str) -> Iterator[Device]:
    with Device(tmp_path, one_broker.url, namespace) as device:
        yield device


@pytest.fixture
def imu(device: Device) -> Iterator[SerialImu]:
    with SerialImu(device.port) as imu:
        yield imu


def labelled_windows() -> dict[str, NDArray[np.generic]]:
    """Windows of the demo's recording as its model is fed, and which exercise each is."""
    contract = demo_contract()[0]
    assert contract.window is not None
    prepare, size = Preprocess(contract), contract.window.size
    pairs = [
        (prepare(samples[start : start + size]), label)
        for samples, label in read_recording().parts
        for start in range(0, len(samples) - size + 1, size)
    ]
    picked = np.random.default_rng(0).permutation(len(pairs))[:WINDOWS]
    return {
        "imu": np.stack([pairs[index][0] for index in picked]).astype(np.float32),
        "labels": np.array([pairs[index][1] for index in picked]),
    }


def accuracy(model: Path, arrays: dict[str, NDArray[np.generic]]) -> float:
    """What an independent run of the model gets right."""
    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    said = [int(np.argmax(session.run(None, {entry.name: row[None]})[0])) for row in arrays["imu"]]
    return float((np.array(said) == arrays["labels"]).mean())


def push_with(host: Host, labelled: Path, **arrays: NDArray[np.generic]) -> Ended:
    """``push-model --eval`` of the demo's model, the arrays saved before."""
    np.savez(labelled, **arrays)
    host.model.write_bytes(DEMO_MODEL.read_bytes())
    host.write_manifest(MANIFEST.read_text(encoding="utf-8") + SMALL_AND_EASY)
    return host.push("--device", "pi-01", "--eval", labelled, "--timeout", "120")


def test_a_labelled_set_is_part_of_the_verdict_and_a_broken_one_costs_nothing(
    device: Device,
    imu: SerialImu,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    host = Host(device.url, device.namespace, tmp_path, monkeypatch, capsys)
    arrays = labelled_windows()

    ended = push_with(host, tmp_path / "eval.npz", **arrays)

    end = device.end_of(1)
    assert (end.status, end.code) == ("succeeded", "accepted"), end.message
    shown = end.results["data"]["eval"]
    (share,) = shown["metrics"]
    active = device.active()
    assert active is not None
    assert (shown["windows"], shown["decides"]) == (WINDOWS, True)
    assert share["float"] == pytest.approx(accuracy(DEMO_MODEL, arrays))
    release = device.state / "models" / "har" / "active"
    assert share["int8"] == pytest.approx(accuracy(release / active["file"], arrays))
    assert share["drop"] <= share["drop_upper"] <= 0.03
    (gate,) = [gate for gate in end.results["chosen"]["gates"] if gate["name"] == "max_accuracy_drop"]
    assert gate == {
        "name": "max_accuracy_drop", "limit": 0.03, "value": share["drop_upper"], "passed": True, "on": "eval",
    }  # fmt: skip
    assert ended.exit == 0, ended.err
    assert "labelled accuracy" in ended.out
    assert "max_accuracy_drop (labelled set)" in ended.out
    assert not list(device.state.glob("work/*/eval.npz")), "the set outlives its job"
    assert active["eval"] == read_blob(tmp_path / "eval.npz").sha256

    # The same with labels of one exercise too few, and with a file that holds objects: nothing is captured for them.
    strange = {**arrays, "labels": arrays["labels"] + 1}  # type: ignore[operator]  # they are integers
    objects = {**arrays, "labels": np.array([{}] * WINDOWS, dtype=object)}
    for version, (bad, code) in enumerate(((strange, "shape_mismatch"), (objects, "data_unreadable")), 2):
        ended = push_with(host, tmp_path / "eval.npz", **bad)

        end = device.end_of(version)
        assert (end.status, end.code, end.stage) == ("failed", code, "capture"), end.message
        assert ended.exit == 5
        assert device.active() == active
        assert device.alive


def test_a_power_cut_in_the_middle_of_the_second_blob(device: Device, imu: SerialImu, tmp_path: Path) -> None:
    """What had come is taken from the broker before the device is back, so only what is on its disk can be used."""
    path = tmp_path / "eval.npz"
    padding = np.random.default_rng(0).integers(0, 256, 4 * GROUP_CHUNKS * CHUNK_BYTES, np.uint8)
    np.savez(path, **labelled_windows(), padding=padding)
    blob = read_blob(path)
    half = 2 * GROUP_CHUNKS
    put_chunks(device, path, blob, range(half))
    push(device, eval=blob)
    wait_for_marks(device, blob, half)

    device.kill()
    with Session(Settings(url=device.url, namespace=device.namespace)) as session:
        for index in range(half):
            session.publish(device.topics.chunk(blob.sha256, index), b"")
    put_chunks(device, path, blob, range(half, blob.plan.chunks))
    device.start()

    end = device.end_of(1)
    assert (end.status, end.code) == ("succeeded", "accepted"), end.message
    assert end.results["data"]["eval"]["windows"] == WINDOWS
    assert any("'padding'" in warning for warning in end.results["data"]["warnings"])


def put_chunks(device: Device, path: Path, blob: Blob, indices: range) -> None:
    """What is on the broker in the middle of an upload."""
    data = path.read_bytes()
    chunks = [data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES)]
    with Session(Settings(url=device.url, namespace=device.namespace)) as session:
        for number, page in enumerate(digest_pages(iter(chunks))):
            session.publish(device.topics.page(blob.sha256, number), page)
        for index in indices:
            session.publish(device.topics.chunk(blob.sha256, index), chunks[index])


def wait_for_marks(device: Device, blob: Blob, count: int) -> None:
    """Until so many chunks are on the device's disk for good."""
    bits = device.state / "blobs" / f"{blob.sha256}.bits"
    deadline = time.monotonic() + 60
    while not bits.exists() or bits.read_bytes().count(b"\1") < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)
