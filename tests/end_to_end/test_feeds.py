"""A whole job on a real broker, and then: an application is answered as the verdict was, on the very same windows.

The source has another rate than the model, and the contract's steps make spectrogram and cepstrum of its sound. What it
sent is taken from the capture, fed to ``serving`` as it came, and compared with what the validate stage read.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper
from support.brokers import IotcoreBroker
from support.device import EASY, Device, push
from support.onnx_models import model, save, value
from support.rigs import write_wav

from edge_agent import backends, serving
from edge_agent.jobs.task import Stage, Task
from edge_agent.wire.manifest import InputContract, MinGain, Recipe, Window
from edge_agent.worker.context import Context
from edge_agent.worker.data.dataset import Row, open_dataset
from edge_agent.worker.data.sets import SETS_FILE, ShardSets

Floats = NDArray[np.float32]

RECIPE = Recipe(
    method="static", calibration="minmax", calibration_windows=40, search_windows=40, heldout_windows=60,
    search_budget_s=2,
)  # fmt: skip
GATES = msgspec.structs.replace(EASY, max_size_ratio=0, min_gain=MinGain(0, 0, 0))
"""Of a model of a few hundred weights, int8 is the larger file."""
SENT_HZ, SOUND_HZ, SOUND_SIZE, BANDS, PITCHES = 32_000, 16_000, 4000, 24, (300, 1200, 4000)


pytestmark = [pytest.mark.slow, pytest.mark.children(covered=False)]


@pytest.fixture
def device(tmp_path: Path, namespace: str) -> Iterator[Device]:
    """A device whose microphone is a recording, and which keeps what it has captured."""
    mic = {"kind": "replay", "path": str(tmp_path / "r.wav"), "rate": "max"}
    tables: dict[str, dict[str, Any]] = {"sources__mic": mic, "capture": {"keep_days": 1}}
    with IotcoreBroker(tmp_path) as broker, Device(tmp_path, broker.url, namespace, **tables) as device:
        yield device


def held_out(device: Device, job: str, model: Path, inputs: list[InputContract]) -> tuple[Floats, list[Row]]:
    """What the source sent for the first held-out block, and the windows that the verdict was about, of that block.

    Of an ended job the capture is all that stays, so the rest is made once more.
    """
    job_dir = device.state / "work" / job
    task = Task(job=job, name=model.stem, version=1, format="onnx", model=model.name, inputs=inputs)
    here = Context(job_dir=job_dir, out_dir=device.directory, task=task, stage=Stage.VALIDATE, sink=lambda *_: None)
    info = backends.load(task.format).inspect(model)
    folder = job_dir / Stage.CAPTURE
    sets = msgspec.json.decode((folder / SETS_FILE).read_bytes(), type=ShardSets)
    rows = [row for row in open_dataset(here, info).rows("heldout") if row.group == 0]
    return np.load(folder / sets.heldout[0].file), rows


def check_served(device: Device, name: str, sent: Floats, rows: list[Row], **stream: Any) -> None:
    """An application that gives what the source sent gets what the released model says of the verdict's windows."""
    application = serving.load(name, state_dir=device.state)
    contract = next(iter(application.inputs.values()))
    assert contract.window is not None
    every = max(1, contract.window.size // contract.window.hop)  # held-out windows do not overlap
    answers = application.stream(channels=contract.channels, **stream)(sent)[::every]
    active = device.active(name)
    assert active is not None
    released = backends.load("onnx").open(
        device.state / "models" / name / "active" / active["file"], runtime=active["runtime"], threads=active["threads"]
    )
    assert len(rows) > 3
    assert len(answers) >= len(rows)
    for answer, row in zip(answers, rows, strict=False):
        assert np.array_equal(answer, released.run(row.feeds)[0])
    assert len({int(answer.argmax()) for answer in answers}) > 1


def test_a_sound_of_twice_the_rate_becomes_spectrogram_and_cepstrum(tmp_path: Path, device: Device) -> None:
    sound = melody(34)
    write_wav(tmp_path / "r.wav", sound, SENT_HZ)
    steps = {"n_fft": 512, "hop_length": 256, "n_mels": BANDS, "center": False}
    window = Window(SOUND_SIZE, SOUND_SIZE // 2)
    inputs = [
        InputContract(
            source="mic", channels=["mono"], window=window, rate_hz=float(SOUND_HZ), name=name,
            steps=[{"op": op, **steps, **more}, {"op": "scale", "factor": 0.02}],
        )
        for name, op, more in (("mel", "log_mel", {}), ("cepstrum", "mfcc", {"n_mfcc": BANDS}))
    ]  # fmt: skip

    pushed = pitch_model(tmp_path / "pitch.onnx")
    push(device, pushed, inputs=inputs, recipe=RECIPE, gates=GATES, name="pitch")
    end = device.end_of(1)

    assert (end.status, end.code) == ("succeeded", "accepted"), end.message
    sent, rows = held_out(device, end.job, pushed, inputs)
    assert len(sent) > 1.9 * len(rows) * SOUND_SIZE, "as it came, not as it was made"
    assert np.isin(sent[:, 0], sound[:, 0] / np.float32(32_768)).all()
    assert rows[0].feeds["mel"].shape == rows[0].feeds["cepstrum"].shape == (1, 14, BANDS)
    check_served(device, "pitch", sent, rows, rate_hz=SENT_HZ)


def melody(seconds: float) -> NDArray[np.int16]:
    """``[n, 1]``: tones of three pitches in turn, each a little off and half a second long, in noise."""
    random = np.random.default_rng(0)
    parts = []
    for number in range(round(seconds * 2)):
        pitch = PITCHES[number % 3] * random.uniform(0.9, 1.1)
        tone = random.uniform(0.1, 0.5) * np.sin(2 * np.pi * pitch * np.arange(SENT_HZ // 2) / SENT_HZ)
        parts.append(tone + random.normal(0, 0.01, len(tone)))
    return np.round(np.concatenate(parts)[:, None] * 32_767).astype(np.int16)


def pitch_model(path: Path) -> Path:
    """``mel``, ``cepstrum`` [1, 14, BANDS] → how strong the low, the middle and the high third of the bands are."""
    thirds = np.repeat(np.eye(3, dtype=np.float32), BANDS // 3, axis=0)
    order, band = np.arange(BANDS), np.arange(BANDS)[:, None]
    cosines = np.cos(np.pi / BANDS * (band + 0.5) * order) * np.where(order, np.sqrt(2 / BANDS), np.sqrt(1 / BANDS))
    nodes = [
        helper.make_node("ReduceMean", ["mel"], ["m"], "over_mel", axes=[1], keepdims=0),
        helper.make_node("ReduceMean", ["cepstrum"], ["c"], "over_cepstrum", axes=[1], keepdims=0),
        helper.make_node("MatMul", ["m", "bands"], ["of_mel"], "of_mel"),
        helper.make_node("MatMul", ["c", "waves"], ["of_cepstrum"], "of_cepstrum"),
        helper.make_node("Add", ["of_mel", "of_cepstrum"], ["y"], "both"),
    ]
    inputs = [value(name, [1, 14, BANDS]) for name in ("mel", "cepstrum")]
    constants = {"bands": thirds, "waves": (cosines.T @ thirds).astype(np.float32)}
    return save(model(nodes, inputs, [value("y", [1, 3])], constants), path)
