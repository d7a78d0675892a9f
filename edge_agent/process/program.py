"""What our own children are started with: argv, environment, and the two signs that parent and child agree on.

A child of ours learns its parent's pid from the environment and ends when that process does
(:mod:`edge_agent.process.sandbox`). It ends with an exit code of its own when its memory ran out.
"""

import os
import sys
from pathlib import Path

EXIT_OUT_OF_MEMORY = 71
"""Exit code by which a Python child of ours reports that it ended on ``MemoryError``."""
PARENT_VARIABLE = "EDGE_AGENT_PARENT"
"""Environment variable that tells a child of ours its parent's pid."""

_PASSED_ON = (
    *("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "PYTHONPATH"),
    *("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"),
)


def python_child(module: str, *arguments: str) -> list[str]:
    """The argv that runs ``module`` in this interpreter, with nothing importable from the working directory."""
    return [sys.executable, "-P", "-m", module, *arguments]


def worker_env() -> dict[str, str]:
    """The environment of a process that opens a model: a list of harmless variables and nothing else of ours."""
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
