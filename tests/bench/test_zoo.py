"""The bench over a directory of models: its parts on a real model, and the row that each end becomes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support import tflite_models as models
from support.trained import windows, write_classifier

BENCH = Path(__file__).parent

pytestmark = [pytest.mark.slow, pytest.mark.children(covered=False)]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zoo")
    write_classifier(folder / "c-float.onnx")
    for part, rows, seed in (("calibration", 60, 2), ("heldout", 80, 3)):
        data, labels = windows(rows, seed=seed)
        np.savez(folder / f"c-{part}.npz", x=data, labels=labels)
    return folder


def bench(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, BENCH / script, *map(str, arguments)], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def peer(zoo: Path) -> Path:
    out = zoo / "peer.onnx"
    ended = bench("zoo_peers.py", "ort minmax per channel", zoo / "c-float.onnx", zoo / "c-calibration.npz", out)
    assert out.exists(), ended.stderr
    return out


def test_a_peer_writes_a_model_that_is_judged_beside_float(zoo: Path, peer: Path) -> None:
    (zoo / "broken.onnx").write_bytes(b"no model")

    ended = bench(
        "zoo_measure.py", zoo / "c-float.onnx", zoo / "c-heldout.npz", "-", peer, zoo / "broken.onnx"
    )  # fmt: skip

    told = json.loads(ended.stdout)
    assert told["float"]["kind"] == "classes"
    assert told["float"]["agreement"] == 1.0
    assert told["float"]["ratios"] == [1.0]
    assert 0.5 < told[str(peer)]["agreement"] <= 1.0
    assert told[str(peer)]["accuracy"] > 0.5
    assert told[str(peer)]["sqnr_db"] > 5
    [ratio] = told[str(peer)]["ratios"]
    assert ratio > 0
    assert told[str(zoo / "broken.onnx")]["error"]


@pytest.mark.parametrize("way", ["litert default", "litert minmax"])
def test_a_peer_of_the_other_format_is_judged_on_every_runtime(tmp_path: Path, way: str) -> None:
    model, peer = models.save(models.old_net(), tmp_path / "t-float.tflite"), tmp_path / "peer.tflite"
    for part, seed in (("calibration", 2), ("heldout", 3)):
        np.savez(tmp_path / f"t-{part}.npz", x=np.stack([row["x"][0] for row in models.rows(model, 40, seed=seed)]))

    made = bench("zoo_peers.py", way, model, tmp_path / "t-calibration.npz", peer)
    assert peer.exists(), made.stderr
    told = json.loads(bench("zoo_measure.py", model, tmp_path / "t-heldout.npz", "-", peer).stdout)

    assert told["float"]["agreement"] == 1.0
    assert told[str(peer)]["sqnr_db"] > 10
    assert len(told[str(peer)]["ratios"]) == len(told["float"]["ratios"]) >= 1


def test_a_process_over_its_limit_of_time_or_memory_is_told(zoo: Path) -> None:
    code = f"""
import sys
sys.path.insert(0, {str(BENCH)!r})
import zoo
from pathlib import Path
nothing = Path({str(zoo / "nothing")!r})
print(zoo.run([sys.executable, "-c", "import time; time.sleep(60)"], nothing, seconds=1, memory_mib=4096).why)
print(zoo.run([sys.executable, "-c", "bytearray(10**9)"], nothing, seconds=60, memory_mib=512).why)
print(zoo.run([sys.executable, "-c", "raise SystemExit('no such way')"], nothing, seconds=60, memory_mib=512).why)
print(zoo.run([sys.executable, "-c", "bytearray(10**8)"], nothing, seconds=60, memory_mib=512).peak_mib > 95)
"""

    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ended.stdout.splitlines() == ["not done in 1 s", "out of memory", "no such way", "True"]
