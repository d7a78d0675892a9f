"""Runs the benches one after the other, each in a process of its own: ``python tests/bench/run_all.py [NAME...]``.

First ``soak``: the tests with that mark, which ``make test`` leaves out. The others print tables of ratios that are
measured interleaved in one run, and assert nothing: times depend on the machine, and on what else it does. How to
change a bench's rounds is said in the bench. About half an hour in all.
"""

import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SOAK = "soak"
BENCHES = (
    SOAK,
    "beyond",
    "calibration_memory",
    "calibration_speed",
    "daemon_idle",
    "end_to_end",
    "events_lost",
    "judge_error",
    "tflite_memory",
    "tflite_speed",
    "quality",
    "reservoir",
    "reservoir_writes",
    "sensing",
    "serving_cost",
    "sources",
    "transfer",
)
PACKAGES = ("onnxruntime", "onnx", "numpy", "msgspec", "paho-mqtt", "iotcore")


def main() -> int:
    """Run the benches that are named, or all; 1 if one of them could not run."""
    names = sys.argv[1:] or BENCHES
    if unknown := set(names) - set(BENCHES):
        raise SystemExit(f"no such bench: {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    print(f"{cpu()}, {os.cpu_count()} cores, {platform.platform()}; Python {platform.python_version()}, {packages}")
    failed = 0
    for name in names:
        print(f"\n== {name}", flush=True)
        env = os.environ | {"ORT_DISABLE_TELEMETRY": "1"}
        script = [Path(__file__).with_name(f"{name}.py")]
        argv = ["-m", "pytest", "-m", SOAK, "--durations=0", "--durations-min=1"] if name == SOAK else script
        failed |= subprocess.run([sys.executable, *argv], cwd=ROOT, env=env, check=False).returncode
    return int(bool(failed))


def cpu() -> str:
    """The processor's name, as far as it says."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    sys.exit(main())
