"""The argv and environment of our own children, and two conventions between parent and child.

A child reads its parent's pid from the environment and ends when that process does
(:mod:`edge_agent.process.sandbox`). A child that ran out of memory ends with a reserved exit code.
"""

import os
import sys
from pathlib import Path

EXIT_OUT_OF_MEMORY = 71
"""Exit code of a Python child that ended on ``MemoryError``."""
PARENT_VARIABLE = "EDGE_AGENT_PARENT"
"""Environment variable with the pid of a child's parent."""

_PASSED_ON = (
    *("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "PYTHONPATH"),
    *("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"),
)


def python_child(module: str, *arguments: str) -> list[str]:
    """Return the argv that runs ``module`` in this interpreter, with no imports from the working directory."""
    return [sys.executable, "-P", "-m", module, *arguments]


def worker_env() -> dict[str, str]:
    """Return the environment of a process that opens a model: only harmless variables of our own environment."""
    env = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    package_dir = Path(__file__).resolve().parents[2]
    if package_dir.name not in ("site-packages", "dist-packages"):
        env["PYTHONPATH"] = os.pathsep.join(filter(None, (str(package_dir), env.get("PYTHONPATH"))))
    return env | {
        "ORT_DISABLE_TELEMETRY": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }
