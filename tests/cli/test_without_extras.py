"""After ``pip install .``, without any extra: every command says in one line which one it lacks, and what to type."""

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from support.bare_venv import BareVenv
from support.demo import MANIFEST, MODEL

pytestmark = pytest.mark.children(covered=False)

COMMAND = re.compile(
    r"install the extras? ([a-z ]+): (\S*pip|\S+/python -m pip) install (--editable )?'\S*.*\[([a-z,]+)\]"
)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> BareVenv:
    return BareVenv(tmp_path_factory.mktemp("bare") / "venv")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(
        f'device_id = "pi"\nstate_dir = "{tmp_path}/state"\n[mqtt]\nurl = "mqtt://127.0.0.1:9"\n'
        "[trust]\nallow_unsigned = true\n"
        '[sources.imu]\nkind = "serial"\nport = "/dev/null"\nchannels = ["a"]\nrate_hz = 50\n',
        encoding="utf-8",
    )
    return path


def assert_one_line(said: str, extra: str) -> None:
    (line,) = said.strip().splitlines()
    found = COMMAND.search(line)
    assert found, line
    assert found[4] == extra


def test_it_is_really_bare(bare: BareVenv) -> None:
    assert bare.run("-c", "import numpy").returncode == 1
    assert bare.edge_agent("--version").stdout.startswith("edge-agent ")


def test_check_config(bare: BareVenv, config: Path) -> None:
    checked = bare.edge_agent("check-config", "--config", config)

    assert checked.returncode == 2
    assert_one_line(checked.stderr, "device")


def test_capture(bare: BareVenv, config: Path) -> None:
    captured = bare.edge_agent("capture", "imu", "--config", config)

    assert captured.returncode == 2
    assert_one_line(captured.stderr, "device")


def test_quantize(bare: BareVenv, tmp_path: Path) -> None:
    np.savez(tmp_path / "c.npz", np.zeros((400, 6, 100), np.float32))

    quantized = bare.edge_agent("quantize", MODEL, "--calibration", tmp_path / "c.npz", "--out", tmp_path / "out")

    assert quantized.returncode == 2
    assert_one_line(quantized.stderr, "device")
    assert not (tmp_path / "out").exists()


def test_try(bare: BareVenv, tmp_path: Path) -> None:
    tried = bare.edge_agent("try", MODEL, "--out", tmp_path / "har.toml")

    assert tried.returncode == 2
    assert_one_line(tried.stderr, "device")
    assert not (tmp_path / "har.toml").exists()


def test_init_needs_none(bare: BareVenv, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    sensor = ["--sensor", "serial:/dev/ttyUSB0", "--channels", "a,b", "--rate-hz", "50"]

    made = bare.edge_agent("init", "--config", path, "--yes", "--broker", "mqtt://127.0.0.1:9", *sensor)

    assert (made.returncode, made.stderr) == (0, "")
    assert "[sources.imu]" in path.read_text(encoding="utf-8")


def test_the_doctor_goes_on(bare: BareVenv, config: Path) -> None:
    examined = bare.edge_agent("doctor", "--json", "--config", config)

    checks = {check["name"]: check for check in json.loads(examined.stdout)["checks"]}
    assert examined.returncode == 1
    assert "Traceback" not in examined.stderr
    assert checks["config"]["level"] == "ok"
    assert checks["runtimes"]["detail"] == "none: not even numpy is installed"
    assert_one_line(checks["runtimes"]["remedy"], "device")
    assert_one_line(checks["sources"]["remedy"], "device")
    assert {"state", "memory", "trust", "daemon", "broker"} <= checks.keys()


def test_the_daemon_runs_and_says_it_at_once(bare: BareVenv, config: Path) -> None:
    argv = [bare.python, "-m", "edge_agent", "run", "--config", config]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, cwd=config.parent) as daemon:
        assert daemon.stderr is not None
        line = next(line for line in daemon.stderr if "quantized" in line or "inventory" in line)
        daemon.terminate()
        daemon.stderr.read()

    assert "no model can be quantized here: numpy is not installed" in line
    assert_one_line(line, "device")


def test_a_stage_by_hand(bare: BareVenv, tmp_path: Path) -> None:
    (tmp_path / "task.json").write_text(
        json.dumps({"job": "j", "name": "m", "version": 1, "format": "onnx", "model": "model.onnx"}), encoding="utf-8"
    )

    ended = bare.run("-m", "edge_agent.worker", "capture", str(tmp_path))

    end = json.loads(ended.stdout.splitlines()[-1])
    assert ended.returncode == 0
    assert (end["code"], "Traceback" in ended.stderr) == ("format_unsupported", False)
    assert_one_line(end["message"], "device")


def test_the_demo(bare: BareVenv, tmp_path: Path) -> None:
    shown = bare.host_tools("demo", TMPDIR=str(tmp_path))

    assert shown.returncode == 2
    assert_one_line(shown.stderr, "device,demo")
    assert list(tmp_path.iterdir()) == []


def test_the_demo_on_a_broker_that_is_there_needs_none_of_its_own(bare: BareVenv, tmp_path: Path) -> None:
    shown = bare.host_tools("demo", "--broker", "mqtt://127.0.0.1:9", TMPDIR=str(tmp_path))

    assert_one_line(shown.stderr, "device")


@pytest.mark.parametrize("command", ["exporter", "collect"])
def test_what_tools_of_others_need(bare: BareVenv, command: str) -> None:
    ended = bare.host_tools(command, "--broker", "mqtt://127.0.0.1:9")

    assert ended.returncode == 2
    assert_one_line(ended.stderr, command)


def test_what_needs_no_extra_works(bare: BareVenv, config: Path) -> None:
    dry = ["push-model", str(MODEL), "--manifest", str(MANIFEST), "--device", "pi", "--broker", "mqtt://127.0.0.1:9"]

    assert bare.edge_agent("status", "--config", config).stdout.startswith("daemon not running; state in ")
    assert bare.edge_agent("releases", "--config", config).returncode == 0
    assert "broker_unreachable" in bare.host_tools(*dry, "--broker-timeout", "0.2").stderr
