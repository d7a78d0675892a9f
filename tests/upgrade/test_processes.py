"""A daemon of version 0.1.0 that runs while its files are replaced starts children of this version, and hears them.

It knows them by the names in ``tests/fixtures/v0_1_0/children.json``, asks what it asked then, and reads the answers as
it did then. So does an application that reads a shared sensor.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.records import BETWEEN
from support.upgrades import FIXTURES, unpack

MADE = FIXTURES / "v0_1_0"
CHILDREN: dict[str, str] = json.loads((MADE / "children.json").read_text(encoding="ascii"))
pytestmark = pytest.mark.children(covered=False)


def start(child: str, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a child to its end, as that daemon would."""
    argv = [sys.executable, "-P", "-m", CHILDREN[child], *arguments]
    return subprocess.run(argv, input=stdin, capture_output=True, timeout=120, check=False)


def record(name: str, **changes: Any) -> bytes:
    """What one process told another, but for what is of this machine."""
    then = json.loads((MADE / "records" / f"{name}.json").read_bytes())
    return json.dumps(then | changes).encode()


def test_signatures_are_checked() -> None:
    envelope = (MADE / "wire" / "envelope-manifest.json").read_bytes()

    ended = start("trust", str(MADE / "wire"), "1", stdin=envelope)

    assert (ended.returncode, ended.stdout) == (0, b'{"code": "", "keys": ["operator"]}\n'), ended.stderr


def test_a_stage_is_run_and_says_so_in_the_lines_of_then(tmp_path: Path) -> None:
    """On the job folder that the daemon made, with its task."""
    states = unpack(MADE / "states.tar.xz", tmp_path)
    [working] = states.glob("validate/jobs/*/validate.tmp")

    ended = start("worker", "validate", str(working.parent))

    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert lines, ended.stderr
    assert {line["event"] for line in lines[:-1]} <= {"progress"}
    assert all(line.keys() >= {"fraction", "detail", "eta_s"} for line in lines[:-1])
    assert lines[-1] == {"event": "end", "code": "", "message": "", "status": "ok"}
    outcome = json.loads((working.with_name("validate") / "outcome.json").read_bytes())
    assert (outcome["code"], outcome["results"]["chosen"]["disagreements"]) == ("", 0)


def test_runtimes_are_found() -> None:
    ended = start("inventory")

    found = json.loads(ended.stdout)
    assert found.keys() >= {"runtimes", "broken", "formats", "confinement"}
    assert "onnx" in found["formats"]


def test_a_measurement_is_made() -> None:
    """Of an empty runtime: its version and its memory."""
    ended = start("probe", stdin=record("request", models=[], feeds=""))

    answer = json.loads(ended.stdout.splitlines()[-1])
    assert answer.keys() >= json.loads(record("answer")).keys()
    assert answer["code"] == ""
    assert answer["version"]
    assert answer["peak_rss_bytes"] > 1 << 20


def test_a_sensor_is_read_and_its_state_said(tmp_path: Path) -> None:
    """Here one that is not plugged in; its process goes on until it is told to end."""
    orders = record(
        "orders", folder=str(tmp_path), table=BETWEEN["orders"].table | {"port": "/dev/none", "channels": ["x"]}
    )
    argv = [sys.executable, "-P", "-m", CHILDREN["sensing"]]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(orders)
        process.stdin.close()
        said = json.loads(process.stdout.readline())
        process.terminate()
        process.stdout.read()
        assert process.wait(60) == 0

    assert said.keys() >= json.loads(record("source-state")).keys()
    assert said["state"] == "waiting"


def test_confinement_is_told() -> None:
    ended = start("sandbox")

    assert ended.returncode == 0, ended.stderr
    assert isinstance(json.loads(ended.stdout), list)
