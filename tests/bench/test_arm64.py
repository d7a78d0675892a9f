"""An emulated Raspberry Pi makes the int8 models that this machine makes, and they do there what they do here.

Runs where ``EDGE_AGENT_ARM64_ROOT`` names an arm64 Debian system with the device set in /opt/venv; ``bench/ARM64.md``
says how to make one. A few minutes: an emulator is slow.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.skips import NO_ARM64

BENCH = Path(__file__).parent
sys.path.append(str(BENCH))

ROOT = os.environ.get("EDGE_AGENT_ARM64_ROOT", "")
pytestmark = [pytest.mark.arm64, pytest.mark.slow]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what both machines made of the demo's classifier: ``here`` and ``there``."""
    if not ROOT:
        pytest.skip(NO_ARM64)
    folder = tmp_path_factory.mktemp("machines")
    subprocess.run([sys.executable, BENCH / "arm64.py", folder / "here"], check=True, timeout=120)
    script = ["python", "/tree/tests/bench/arm64.py", "/scratch/there", "--like", "/scratch/here"]
    subprocess.run([BENCH / "arm64.sh", ROOT, folder, *script], check=True, timeout=1500)
    return folder


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("model_format", ["onnx", "tflite"])
def test_the_same_model_that_does_the_same(made: Path, model_format: str) -> None:
    from arm64_compare import Comparison  # noqa: PLC0415  # loads every runtime, which the skip spares others

    found = Comparison(made / "here" / model_format, made / "there" / model_format)

    assert all(far < 1e-5 for _, _, far in found.ranges().values())
    assert all(drift.largest < 1e-5 for drift in found.floats().values())
    for row in found.rows():
        assert row.same_ranges_same_file, row
        assert row.same_file.otherwise == row.whole_way.otherwise == 0, row
