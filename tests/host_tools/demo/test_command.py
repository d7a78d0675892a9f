"""``host-tools demo`` as a newcomer runs it: it works, it ends, it leaves behind only what it says."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.brokers import MosquittoBroker
from support.dashboards import get
from support.demo import MANIFEST, MODEL
from support.device import SMALL_AND_EASY
from support.processes import alive

from edge_agent.backends import load
from host_tools.broker.registry import read_devices
from host_tools.broker.session import Session
from host_tools.broker.settings import Settings

_MAIN = """
import signal
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which nohup has it ignore
from host_tools.cli.app import main
main()
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Temporary files here, and nobody's settings."""
    folders = {name: str(tmp_path) for name in ("TMPDIR", "HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME")}
    return {**os.environ, **folders}


@pytest.fixture
def mine(tmp_path: Path) -> list[str]:
    """A model of one's own, which asks for less than the bundled one."""
    manifest = tmp_path / "mine.toml"
    manifest.write_text(MANIFEST.read_text(encoding="utf-8") + SMALL_AND_EASY, encoding="utf-8")
    return ["--model", str(MODEL), "--manifest", str(manifest)]


def run_demo(environment: dict[str, str], *argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _MAIN, "demo", *argv],
        capture_output=True, text=True, timeout=240, env=environment, check=False,
    )  # fmt: skip


def stage_of(folder: Path) -> dict[str, int | str]:
    (file,) = folder.glob("edge-agent-demo-*/stage.json")
    found: dict[str, int | str] = json.loads(file.read_text(encoding="utf-8"))
    return found


def running(stage: dict[str, int | str]) -> list[str]:
    """Which of the demo's processes still run."""
    return [name for name in ("pid", "agent_pid", "sensor_pid") if alive(int(stage[name]))]


def wait_gone(stage: dict[str, int | str]) -> None:
    deadline = time.monotonic() + 60
    while running(stage):
        assert time.monotonic() < deadline, running(stage)
        time.sleep(0.05)


@pytest.fixture
def ended_in_any_case(tmp_path: Path) -> Iterator[None]:
    yield
    for file in tmp_path.glob("edge-agent-demo-*/stage.json"):
        stage = json.loads(file.read_text(encoding="utf-8"))
        if "pid" in running(stage):
            os.kill(stage["pid"], signal.SIGTERM)
            wait_gone(stage)


def assert_told(demo: subprocess.CompletedProcess[str], *, kept: bool = False) -> None:
    """The verdict may be a refusal on a busy machine; then it must be said, and the exit code says it too."""
    assert demo.returncode in (0, 4), demo.stdout + demo.stderr
    assert ("succeeded" if demo.returncode == 0 else "rejected") in demo.stdout
    assert "latency p50" in demo.stdout
    assert "min_agreement" in demo.stdout
    assert re.search(r"samples, \d+ times faster than real time", demo.stdout)
    if demo.returncode == 0 and kept:
        path = re.search(r"The release is in (\S+):", demo.stdout)
        assert path is not None
        assert (Path(path[1]) / "release.json").is_file()


@pytest.mark.slow
@pytest.mark.usefixtures("ended_in_any_case")
def test_a_kept_demo_goes_on_until_it_is_stopped(environment: dict[str, str], tmp_path: Path, mine: list[str]) -> None:
    demo = run_demo(environment, *mine, "--keep")

    stage = stage_of(tmp_path)
    assert_told(demo, kept=True)
    (folder,) = tmp_path.glob("edge-agent-demo-*")
    commands = [line.strip() for line in demo.stdout.splitlines() if line.startswith("  ") and " --broker mqtt" in line]
    assert [Path(shlex.split(line)[0]).name for line in commands] == ["host-tools", "host-tools", "push-model"]
    shown = subprocess.run(commands[0], shell=True, capture_output=True, text=True, check=True, env=environment)  # noqa: S602  # pasted
    assert "demo" in shown.stdout
    etas = [int(found) for found in re.findall(r"capture .*\((\d+) s left\)", demo.stderr)]
    assert all(eta < 60 for eta in etas), demo.stderr
    with Session(Settings(url=str(stage["broker"]))) as session:
        assert read_devices(session)["demo"].online

    (ending,) = (line for line in demo.stdout.splitlines() if "demo --stop" in line)
    stopped = subprocess.run(ending, shell=True, capture_output=True, text=True, check=False, env=environment)  # noqa: S602  # pasted

    assert stopped.returncode == 0, stopped.stderr
    assert running(stage) == []
    assert not folder.exists()
    assert "Broker, sensor and agent have stopped" in stopped.stdout
    again = run_demo(environment, "--stop", str(folder))
    assert again.returncode == 2
    assert "is no folder of a kept demo" in again.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("ended_in_any_case")
def test_a_demo_with_its_page_shows_ten_devices_beside_the_real_one_until_ctrl_c(
    environment: dict[str, str], tmp_path: Path, mine: list[str]
) -> None:
    log = tmp_path / "demo.log"
    with log.open("wb") as output:
        argv = [sys.executable, "-u", "-c", _MAIN, "demo", *mine, "--dashboard"]
        demo = subprocess.Popen(argv, stdout=output, stderr=output, env=environment)

    def said(pattern: str) -> re.Match[str]:
        deadline = time.monotonic() + 240
        while not (found := re.search(pattern, log.read_text(encoding="utf-8"))):
            assert demo.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
            time.sleep(0.1)
        return found

    try:
        page = said(r"The page: (http://127\.0\.0\.1:\d+/)")[1]
        said("The page goes on")
        rows = json.loads(get(f"{page}?format=json").body)
        stage = stage_of(tmp_path)
        demo.send_signal(signal.SIGINT)
        assert demo.wait(60) in (0, 4), log.read_text(encoding="utf-8")
    finally:
        demo.kill()
        demo.wait()

    assert {row["device"] for row in rows} == {"demo", *(f"sim-{number:04}" for number in range(1, 11))}
    wait_gone(stage)
    with pytest.raises(urllib.error.URLError):
        get(page)
    assert not list(tmp_path.glob("edge-agent-demo-*"))


def test_a_process_that_is_not_the_demos_is_not_ended(environment: dict[str, str], tmp_path: Path) -> None:
    """Its number may be another's by now: after a restart of the machine, for one."""
    folder = tmp_path / "edge-agent-demo-old"
    folder.mkdir()
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as other:
        numbers = dict.fromkeys(("pid", "agent_pid", "sensor_pid"), other.pid)
        stage = {**numbers, "directory": str(folder), "broker": "mqtt://127.0.0.1:9", "device": "demo", "guest": False}
        (folder / "stage.json").write_text(json.dumps(stage), encoding="utf-8")

        stopped = run_demo(environment, "--stop", str(folder))
        lives = other.poll() is None
        other.kill()

    assert stopped.returncode == 0, stopped.stderr
    assert lives
    assert not folder.exists()


@pytest.mark.slow
@pytest.mark.mosquitto
@pytest.mark.children(covered=False)
def test_a_model_of_ones_own_on_another_broker_leaves_nothing_on_it(
    environment: dict[str, str], tmp_path: Path, mosquitto: MosquittoBroker, mine: list[str]
) -> None:
    demo = run_demo(environment, "--broker", mosquitto.url, *mine)

    assert_told(demo)
    assert list(tmp_path.glob("edge-agent-demo-*")) == []
    assert "their folder is removed" in demo.stdout
    with Session(Settings(url=mosquitto.url)) as session:
        assert session.snapshot("ea/v1/d/+/+", "ea/v1/d/+/+/+", "ea/v1/b/+/+/+", "ea/v1/g/+/+/+") == {}


@pytest.mark.soak(reason="searches for twenty seconds, as its manifest leaves it to; the other demos ask for less")
@pytest.mark.children(covered=False)
def test_the_bundled_model_goes_all_the_way(environment: dict[str, str], tmp_path: Path) -> None:
    assert_told(run_demo(environment))

    assert list(tmp_path.glob("edge-agent-demo-*")) == []


@pytest.mark.slow
@pytest.mark.usefixtures("ended_in_any_case")
@pytest.mark.children(covered=False)
def test_the_model_as_a_tflite_file_goes_all_the_way(environment: dict[str, str], tmp_path: Path) -> None:
    demo = run_demo(environment, "--model", "tflite", "--keep")

    assert_told(demo, kept=True)
    assert demo.returncode == 0, "its manifest switches the latency gate off, so that it does on every machine"
    (release,) = tmp_path.glob("edge-agent-demo-*/state/models/har/active/release.json")
    active = json.loads(release.read_text(encoding="utf-8"))
    assert active["file"] == "model.tflite"
    assert active["runtime"] in load("tflite").RUNTIMES
    assert re.search(rf" runtime .*{active['runtime']}", demo.stdout)


@pytest.mark.mosquitto
@pytest.mark.children(covered=False)
@pytest.mark.parametrize(
    ("number", "kept", "exit_code"),
    [(signal.SIGINT, [], 130), (signal.SIGTERM, [], 143), (signal.SIGHUP, [], 129), (signal.SIGTERM, ["--keep"], 143)],
)
def test_a_demo_that_is_interrupted_leaves_nothing(
    environment: dict[str, str],
    tmp_path: Path,
    mosquitto: MosquittoBroker,
    number: signal.Signals,
    kept: list[str],
    exit_code: int,
) -> None:
    argv = [sys.executable, "-c", _MAIN, "demo", "--broker", mosquitto.url, *kept]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as demo:
        assert demo.stderr is not None
        for line in demo.stderr:
            if "capture" in line:
                break
        stage = stage_of(tmp_path)
        demo.send_signal(number)
        out, err = demo.communicate(timeout=60)

    assert demo.returncode == exit_code, err
    assert running(stage) == []
    assert list(tmp_path.glob("edge-agent-demo-*")) == []
    assert "watch it with" not in err
    assert number is not signal.SIGINT or "Interrupted. Broker, sensor and agent have stopped" in out
    with Session(Settings(url=mosquitto.url)) as session:
        assert session.snapshot("ea/v1/d/+/+", "ea/v1/d/+/+/+", "ea/v1/b/+/+/+", "ea/v1/g/+/+/+") == {}


@pytest.mark.usefixtures("ended_in_any_case")
def test_a_demo_that_is_killed_takes_everything_with_it(environment: dict[str, str], tmp_path: Path) -> None:
    errors = tmp_path / "stderr"
    with (
        errors.open("wb") as stderr,
        subprocess.Popen(
            [sys.executable, "-c", _MAIN, "demo"], stdout=subprocess.PIPE, stderr=stderr, env=environment
        ) as demo,
    ):
        assert demo.stdout is not None
        assert demo.stdout.readline(), errors.read_text(encoding="utf-8")  # said once the agent is online
        stage = stage_of(tmp_path)
        before = running(stage)
        demo.kill()

    assert before == ["pid", "agent_pid", "sensor_pid"]
    wait_gone(stage)


def test_a_broker_that_is_not_there_ends_the_demo(environment: dict[str, str], tmp_path: Path) -> None:
    demo = run_demo(environment, "--broker", "mqtt://127.0.0.1:9", "--broker-timeout", "0.5")

    assert demo.returncode == 3
    assert "broker_unreachable" in demo.stderr
    assert running(stage_of(tmp_path)) == []
    assert re.search(r"The logs of broker, sensor and agent are in (\S+);", demo.stdout), "kept, to look into"


@pytest.mark.parametrize("half", [["--model", "x.onnx"], ["--manifest", "m.toml"]])
def test_half_a_model_of_ones_own_is_a_usage_error(environment: dict[str, str], half: list[str]) -> None:
    demo = run_demo(environment, *half)

    assert demo.returncode == 2
    assert "--manifest together" in " ".join(demo.stderr.split())
