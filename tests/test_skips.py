"""The guard against silent skips, in a pytest of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
MODULE = """
import pytest

def test_passes(): pass

def test_skips(): pytest.skip({reason!r})
"""


def run(tmp_path: Path, reason: str, *options: str, ci: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "test_it.py").write_text(MODULE.format(reason=reason), encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "COV_"))}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "support.skips", "-p", "no:cacheprovider", *options],
        cwd=tmp_path,
        env=inherited | {"CI": ci, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("options", [(), ("-n", "1")])
def test_a_skip_that_nobody_expects_fails_the_run_and_is_named(tmp_path: Path, options: tuple[str, ...]) -> None:
    answer = run(tmp_path, "needs mosquitto", *options, ci="true")

    assert answer.returncode == pytest.ExitCode.TESTS_FAILED
    assert "test_it.py::test_skips: needs mosquitto" in answer.stdout


def test_an_expected_skip_passes(tmp_path: Path) -> None:
    answer = run(tmp_path, "needs a writable cgroup v1 hierarchy", ci="true")

    assert answer.returncode == 0, answer.stdout


def test_outside_ci_a_skip_passes(tmp_path: Path) -> None:
    answer = run(tmp_path, "needs mosquitto", ci="")

    assert answer.returncode == 0, answer.stdout
