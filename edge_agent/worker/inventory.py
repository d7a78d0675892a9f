"""Which runtimes work on this device: imported here, in a process that may crash, and never in the daemon.

    python -m edge_agent.worker.inventory

Prints one JSON object: ``{"runtimes": {"onnxruntime": "1.32.0"}, "formats": ["onnx"], "confinement": [...]}``.
"""

import json
import subprocess
import sys

from edge_agent.backends import FORMATS
from edge_agent.sandbox import confine
from edge_agent.supervisor import python_child

_RUNTIMES = {"onnx": "onnxruntime"}
_TIMEOUT_S = 30.0


def probe(model_format: str) -> str:
    """The version of a format's runtime, found in a process of its own; empty if it does not work here."""
    argv = python_child("edge_agent.worker.inventory", model_format)
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def main(argv: list[str]) -> int:
    """Without an argument: ask a child about every format. With one: import that format's runtime."""
    if len(argv) > 1:
        from edge_agent.backends import load  # noqa: PLC0415  # may crash: that is what is to be found out

        print(load(argv[1]).runtime_version())
        return 0
    found = {model_format: probe(model_format) for model_format in FORMATS.values() if model_format in _RUNTIMES}
    working = {model_format: version for model_format, version in found.items() if version}
    runtimes = {_RUNTIMES[model_format]: version for model_format, version in working.items()}
    print(json.dumps({"runtimes": runtimes, "formats": list(working), "confinement": confine()}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
