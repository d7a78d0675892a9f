"""Trains the demo's model and writes what is in ``host_tools/demo/data``. Run by hand; the demo never needs it.

    python -m venv train-venv && train-venv/bin/pip install torch onnx onnxruntime numpy
    pip download --no-deps seglearn==1.2.5 && unzip seglearn-1.2.5-py3-none-any.whl
    train-venv/bin/python host_tools/demo/train_model.py seglearn/data/watch_dataset.npy

Afterwards ``tflite_model.py`` writes the same model in the other format.

The data are real: seven shoulder exercises, recorded with a smart watch at 50 Hz (Burns et al. 2018,
https://arxiv.org/abs/1802.01489). Subjects 1 to 6 train the model, subject 7 chooses the epoch, and subjects 8 to 10
are never seen: their recordings are bundled and become the demo's sensor. The script refuses to write a model that
is not good on them.

The network is a stack of depthwise-separable convolutions over time (MobileNet's block, https://arxiv.org/abs/1704.04861,
in one dimension), which is what one would really run on a wearable.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

Samples = NDArray[np.float32]
_ort: Any = onnxruntime  # its stubs do not export what its documentation does

DATA = Path(__file__).with_name("data")
CHANNELS = ("ax", "ay", "az", "gx", "gy", "gz")
SIZE, HOP, RATE_HZ = 100, 50, 50
TRAIN, VALIDATE, UNSEEN = (1, 2, 3, 4, 5, 6), (7,), (8, 9, 10)
WIDTH, EPOCHS, BATCH, SEED = 64, 30, 64, 20180205
RESOLUTION = 0.001
"""The recording is kept as int16 in steps of 1 mg and 1 mrad/s."""
MIN_ACCURACY = 0.85

MANIFEST = """\
# The demo's model: which of seven shoulder exercises a smart watch's wearer is doing. Written by train_model.py.
name = "har"

[input]
source = "imu"
channels = ["ax", "ay", "az", "gx", "gy", "gz"]     # g and rad/s at 50 Hz
window = {{ size = {size}, hop = {hop} }}                # two seconds, a new window every second
steps = [
    {{ op = "standardize", mean = {mean}, std = {std} }},
    {{ op = "transpose", axes = [1, 0] }},
]

[output]
kind = "classes"                                    # {labels}
"""


def network() -> Any:
    """[1, 6, SIZE] standardized samples → [1, 7] logits."""
    width = WIDTH
    layers = [nn.Conv1d(len(CHANNELS), width, 5, padding=2, bias=False), nn.BatchNorm1d(width), nn.ReLU()]
    plan = [(width, 1), (2 * width, 2), (2 * width, 1), (4 * width, 2), (4 * width, 1)]
    for out, stride in plan:
        layers += [
            nn.Conv1d(width, width, 5, stride, padding=2, groups=width, bias=False),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Conv1d(width, out, 1, bias=False),
            nn.BatchNorm1d(out),
            nn.ReLU(),
        ]
        width = out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Dropout(0.3), nn.Linear(width, 7))


def windows(recordings: list[Samples], labels: list[int], hop: int) -> tuple[Samples, NDArray[np.int64]]:
    """Windows [n, SIZE, 6] that lie within one recording, and their labels [n]."""
    cut = [
        (recording[start : start + SIZE], label)
        for recording, label in zip(recordings, labels, strict=True)
        for start in range(0, len(recording) - SIZE + 1, hop)
    ]
    return np.stack([window for window, _ in cut]), np.array([label for _, label in cut])


def augment(batch: Any, generator: Any) -> Any:
    """Turn the watch a little on the wrist, stretch time, scale and add noise: other people, other straps."""
    n = len(batch)
    angles = torch.randn(n, 3, generator=generator) * 0.25
    turn = torch.linalg.matrix_exp(torch.stack([
        torch.stack([torch.zeros(n), -angles[:, 2], angles[:, 1]], 1),
        torch.stack([angles[:, 2], torch.zeros(n), -angles[:, 0]], 1),
        torch.stack([-angles[:, 1], angles[:, 0], torch.zeros(n)], 1),
    ], 1))  # fmt: skip
    batch = torch.cat([batch[..., :3] @ turn, batch[..., 3:] @ turn], -1)
    speed = 0.8 + 0.4 * torch.rand(n, 1, generator=generator)
    position = (torch.arange(SIZE) - SIZE / 2) * speed * 0.8 + SIZE / 2
    position = position.clamp(0, SIZE - 1.001)
    low = position.long()
    part = (position - low)[..., None]
    rows = torch.arange(n)[:, None]
    batch = batch[rows, low] * (1 - part) + batch[rows, low + 1] * part
    scale = 1 + 0.1 * torch.randn(n, 1, 6, generator=generator)
    return batch * scale + 0.02 * torch.randn(batch.shape, generator=generator)


def train(data: dict[str, Any]) -> tuple[Any, Samples, Samples]:
    """The network with the epoch that subject 7 likes best, and the training set's mean and std per channel."""
    torch.set_num_threads(1)  # sums in one order: the same model every time
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    x, y = windows(*of_subjects(data, TRAIN), hop=HOP // 2)
    x_check, y_check = windows(*of_subjects(data, VALIDATE), hop=HOP)
    mean, std = x.mean((0, 1)).round(3), x.std((0, 1)).round(3)
    samples, targets = torch.from_numpy(x), torch.from_numpy(y)
    shift, spread = torch.from_numpy(mean), torch.from_numpy(std)
    model, best, chosen = network(), 0.0, {}
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.02)
    steps = EPOCHS * (len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    loss_of = nn.CrossEntropyLoss()
    for epoch in range(EPOCHS):
        model.train()
        order = torch.randperm(len(x), generator=generator)[: len(x) // BATCH * BATCH].reshape(-1, BATCH)
        for chunk in order:
            batch = (augment(samples[chunk], generator) - shift) / spread
            optimizer.zero_grad()
            loss_of(model(batch.transpose(1, 2)), targets[chunk]).backward()
            optimizer.step()
            schedule.step()
        model.eval()
        with torch.no_grad():
            check = torch.from_numpy((x_check - mean) / std).transpose(1, 2)
            accuracy = float((model(check).argmax(1).numpy() == y_check).mean())
        print(f"epoch {epoch + 1:2} of {EPOCHS}: subject 7 accuracy {accuracy:.3f}", flush=True)
        if accuracy >= best:
            best, chosen = accuracy, {key: value.clone() for key, value in model.state_dict().items()}
    model.load_state_dict(chosen)
    return model.eval(), mean, std


def of_subjects(data: dict[str, Any], subjects: tuple[int, ...]) -> tuple[list[Samples], list[int]]:
    """These subjects' recordings and labels."""
    chosen = [index for index, subject in enumerate(data["subject"]) if subject in subjects]
    return [data["X"][index].astype(np.float32) for index in chosen], [int(data["y"][index]) for index in chosen]


def write_recording(data: dict[str, Any], path: Path) -> None:
    """The unseen subjects' recordings one after another, every exercise once in each round of seven."""
    chance = np.random.default_rng(SEED)
    chosen = [index for index, subject in enumerate(data["subject"]) if subject in UNSEEN]
    chance.shuffle(chosen)
    rounds: list[list[int]] = [[] for _ in range(len(chosen) // 7)]
    for exercise in range(7):
        for turn, index in zip(rounds, [i for i in chosen if data["y"][i] == exercise], strict=True):
            turn.append(index)
    for turn in rounds:
        chance.shuffle(turn)
    order = [index for turn in rounds for index in turn]
    samples = np.concatenate([data["X"][index] for index in order])
    np.savez_compressed(
        path,
        samples=np.round(samples / RESOLUTION).astype(np.int16),
        scale=np.float32(RESOLUTION),
        starts=np.cumsum([0] + [len(data["X"][index]) for index in order[:-1]]).astype(np.int32),
        labels=data["y"][order].astype(np.int8),
        subjects=data["subject"][order].astype(np.int8),
        channels=np.array(CHANNELS),
        exercises=np.array(data["y_labels"]),
        rate_hz=np.float32(RATE_HZ),
    )


def unseen_accuracy(model: Path, recording: Path, mean: Samples, std: Samples) -> float:
    """Accuracy of the written file on the written recording, whose subjects were never seen."""
    with np.load(recording) as file:
        parts = np.split(file["samples"] * file["scale"], file["starts"][1:])
        x, y = windows(parts, file["labels"].tolist(), hop=HOP)
    session = _ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    rows = ((x - mean) / std).astype(np.float32).transpose(0, 2, 1)
    guesses = [session.run(None, {"imu": row[None]})[0].argmax() for row in rows]
    return float(np.mean(np.array(guesses) == y))


def main() -> None:
    """Train, write, and refuse what is not good."""
    data = np.load(sys.argv[1], allow_pickle=True).item()
    model, mean, std = train(data)
    DATA.mkdir(exist_ok=True)
    path, recording = DATA / "har.onnx", DATA / "imu_recording.npz"
    # The exporter that traces folds batch norm into the convolutions before it.
    torch.onnx.export(
        model,
        (torch.zeros(1, len(CHANNELS), SIZE),),
        str(path),
        input_names=["imu"],
        output_names=["exercise"],
        opset_version=17,
        dynamo=False,
    )
    write_recording(data, recording)
    labels = ", ".join(data["y_labels"])
    numbers = {"mean": [round(float(v), 3) for v in mean], "std": [round(float(v), 3) for v in std]}
    text = MANIFEST.format(size=SIZE, hop=HOP, labels=labels, **numbers)
    (DATA / "har.toml").write_text(text, encoding="utf-8")
    accuracy = unseen_accuracy(path, recording, mean, std)
    print(f"{sum(p.numel() for p in model.parameters())} parameters; accuracy on subjects 8 to 10: {accuracy:.3f}")
    if accuracy < MIN_ACCURACY:
        sys.exit(f"accuracy {accuracy:.3f} on unseen subjects is below {MIN_ACCURACY}")


if __name__ == "__main__":
    main()
