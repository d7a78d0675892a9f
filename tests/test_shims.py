"""Names by which a process of version 0.1 starts its children: they run what took their place."""

import json
import subprocess
import sys

import onnxruntime


def run(module: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", module]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120, check=False)


def test_the_sandbox_says_what_holds() -> None:
    old, new = run("edge_agent.sandbox"), run("edge_agent.process.sandbox")

    assert "no_new_privs" in json.loads(old.stdout)
    assert old.stdout == new.stdout


def test_the_inventory_tells_runtimes_and_formats() -> None:
    found = json.loads(run("edge_agent.worker.inventory").stdout)

    assert "onnx" in found["formats"]
    assert "onnxruntime" in found["runtimes"]


def test_the_probe_answers_a_request() -> None:
    answered = run("edge_agent.worker.probe", json.dumps({"models": [], "feeds": "", "runtime": "onnxruntime"}))

    assert answered.returncode == 0, answered.stderr
    assert json.loads(answered.stdout)["version"] == onnxruntime.__version__
