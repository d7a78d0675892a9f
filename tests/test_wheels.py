"""Every target gets wheels for all of the extra ``device``: asked of the package index, nothing is installed.

uv resolves for another Python and processor than this one's, markers and all. (pip picks wheels for another target, but
asks markers of the Python that it runs on, and would look for tflite-runtime on 3.13.) No source distribution may come:
a device has no compiler. glibc 2.35 is the oldest that is promised: Ubuntu 22.04, on which JetPack 6 is built.
"""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GLIBC = "manylinux_2_35"
RUNTIMES = {"onnxruntime", "ai-edge-litert", "tflite-runtime"}
UNREACHABLE = "error sending request"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What was asked once is not asked again for the next target."""
    if find_spec("uv") is None:
        pytest.skip("needs uv: pip install '.[dev]'")
    return tmp_path_factory.mktemp("index")


def resolve(cache: Path, python: str, arch: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Ask what would be installed; skips where no index answers, which CI does not allow."""
    done = subprocess.run(
        [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--no-build",
         "--cache-dir", str(cache), "--python", sys.executable, "--python-version", python,
         "--python-platform", f"{arch}-{GLIBC}", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    if done.returncode and UNREACHABLE in done.stderr:
        pytest.skip("no package index can be reached")
    return done


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["aarch64", "x86_64"])
@pytest.mark.parametrize(
    ("python", "runtimes", "numpy"),
    [
        ("3.11", RUNTIMES, "1.26"),
        ("3.12", RUNTIMES - {"tflite-runtime"}, "2."),
        ("3.13", RUNTIMES - {"tflite-runtime"}, "2."),
    ],
)
def test_the_device_set_has_wheels(cache: Path, python: str, arch: str, runtimes: set[str], numpy: str) -> None:
    done = resolve(cache, python, arch, "pyproject.toml", "--extra", "device", "--constraint", "constraints.txt")

    assert done.returncode == 0, done.stderr
    found = dict(line.split("==") for line in done.stdout.splitlines())
    assert RUNTIMES & found.keys() == runtimes
    assert found["numpy"].startswith(numpy)
    assert {"onnx", "litert-quantizer", "pyserial", "msgspec", "cryptography", "paho-mqtt"} <= found.keys()


@pytest.mark.slow
def test_an_unmarked_tflite_runtime_would_be_noticed(cache: Path, tmp_path: Path) -> None:
    wanted = tmp_path / "requirements.in"
    wanted.write_text("tflite-runtime==2.14.0\n", encoding="utf-8")

    assert resolve(cache, "3.11", "aarch64", "--no-deps", str(wanted)).returncode == 0
    newer = resolve(cache, "3.12", "aarch64", "--no-deps", str(wanted))
    assert newer.returncode == 1
    assert "no wheels with a matching Python ABI tag" in " ".join(newer.stderr.split())
