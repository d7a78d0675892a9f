"""A 32-bit Python is told at once that nothing can be quantized there, by every command that would need a runtime."""

import json
import sys
from pathlib import Path

import pytest

from edge_agent.cli import main
from edge_agent.device.interpreter import address_bits, require_64_bit

SENTENCE = "numpy, onnxruntime and LiteRT have no 32-bit wheels"


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interpreter whose addresses have 32 bits, on a kernel that calls itself aarch64 (Raspberry Pi OS has that)."""
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    monkeypatch.setattr("edge_agent.device.interpreter.address_bits", lambda: 32)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(
        f'device_id = "pi"\nstate_dir = "{tmp_path / "state"}"\n[mqtt]\nurl = "mqtt://127.0.0.1:9"\n'
        "[trust]\nallow_unsigned = true\n",
        encoding="utf-8",
    )
    return path


@pytest.mark.parametrize("command", ["run", "install", "quantize"])
def test_what_needs_a_runtime_refuses(
    command: str, narrow: None, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = {
        "run": ["--config", str(config)],
        "install": ["--root", str(tmp_path / "root")],
        "quantize": ["m.onnx", "--calibration", "c.npz", "--out", str(tmp_path / "out")],
    }

    assert main([command, *arguments[command]]) == 2

    said = capsys.readouterr().err
    assert SENTENCE in said
    assert "32-bit one" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.toml"]


def test_doctor_names_the_interpreter_and_sends_nobody_after_runtimes_that_do_not_exist(
    narrow: None, config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.cli.doctor_checks._BROKER_TIMEOUT_S", 0.5)  # there is none

    assert main(["doctor", "--json", "--config", str(config)]) == 1

    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["interpreter"]["level"] == "fail"
    assert checks["interpreter"]["detail"].endswith("aarch64, 32 bit")
    assert SENTENCE in checks["interpreter"]["remedy"]
    assert "runtimes" not in checks


def test_the_width_is_that_of_the_interpreter_not_of_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "armv7l")

    assert address_bits() == sys.maxsize.bit_length() + 1
    require_64_bit()
