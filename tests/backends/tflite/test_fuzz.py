"""Mutated TensorFlow Lite files: each ends as a description or as one of our codes, soon, and in this process.

``EDGE_AGENT_FUZZ_CASES`` asks for more cases, ``EDGE_AGENT_FUZZ_FILES`` for a folder of files of one's own to mutate.
A file that passes may still crash a runtime; that happens in a child and is told there.
"""

import os
import struct
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support import tflite_models as models

from edge_agent.backends import tflite as backend
from edge_agent.backends.tflite.reading import read_model
from edge_agent.errors import ModelError

CASES = int(os.environ.get("EDGE_AGENT_FUZZ_CASES", "2400"))
FILES = os.environ.get("EDGE_AGENT_FUZZ_FILES", "")
_NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFC)
_MOST_SECONDS = 10.0
_NETS = (
    models.conv_net,
    models.old_net,
    models.mlp,
    models.two_inputs,
    models.hybrid_net,
    models.half_net,
    models.int8_net,
    models.branching_net,
    models.lstm_net,
    models.upsampling_net,
)


def seeds() -> list[bytes]:
    if FILES:
        return [path.read_bytes() for path in sorted(Path(FILES).glob("*.tflite"))]
    return [build() for build in _NETS]


def structure(content: bytes, path: Path) -> NDArray[np.int64]:
    """Positions of the bytes that are no weights: a flipped weight is a sound file with another weight."""
    path.write_bytes(content)
    outside = np.ones(len(content), bool)
    for graph in read_model(path).graphs:
        for tensor in graph.tensors:
            outside[tensor.data.start : tensor.data.stop] = False
    return np.flatnonzero(outside)


def mutated(content: bytes, places: NDArray[np.int64], random: np.random.Generator) -> bytes:
    """A file with a few changes: bits, bytes, whole numbers, stretches moved, the end cut off."""
    out = bytearray(content)
    for _ in range(int(random.geometric(0.4))):
        at = min(int(random.choice(places)), len(out) - 1)
        match int(random.integers(0, 6)):
            case 0:
                out[at] ^= 1 << int(random.integers(0, 8))
            case 1:
                out[at] = int(random.integers(0, 256))
            case 2 if len(out) >= 8:
                place = min(at, len(out) - 4) // 4 * 4
                value = int(random.choice([*_NUMBERS, len(out), len(out) - place]))
                struct.pack_into("<I", out, place, value & 0xFFFFFFFF)
            case 3:
                length = int(random.integers(1, 64))
                source = int(random.integers(0, len(out)))
                out[at : at + length] = out[source : source + length]
            case 4 if random.random() < 0.1:
                del out[max(at, 8) :]
            case _:
                # Offsets and counts are small numbers: a little more or less leads somewhere else, not outside.
                out[at] = (out[at] + int(random.integers(-8, 9))) % 256
    return bytes(out)


@pytest.mark.no_cover  # it takes twice as long with, and shows nothing that the tests of inspecting do not
@pytest.mark.parametrize("part", range(4))
def test_every_mutated_file_ends_as_a_description_or_a_code(tmp_path: Path, part: int) -> None:
    random = np.random.default_rng([17, part])
    path, out = tmp_path / "m.tflite", tmp_path / "prepared.tflite"
    sources = [(content, structure(content, path)) for content in seeds()]
    ends: Counter[str] = Counter()
    slowest = 0.0
    for number in range(CASES // 4):
        path.write_bytes(mutated(*sources[number % len(sources)], random))
        started = time.monotonic()
        try:
            info = backend.inspect(path)
            assert info.inputs is not None
            backend.prepare(path, out)
            assert all(layer.name for layer in backend.layers(out))
        except ModelError as error:
            ends[error.code] += 1
        else:
            ends["described"] += 1
        slowest = max(slowest, time.monotonic() - started)

    print(dict(ends), f"slowest {slowest:.2f} s")  # noqa: T201  # for whoever asks for more cases
    assert slowest < _MOST_SECONDS
    assert set(ends) <= {"described", "model_unreadable", "already_quantized", "custom_operator", "model_unsupported"}
    assert ends["described"] > CASES // 100
    assert ends["model_unreadable"] > CASES // 20
