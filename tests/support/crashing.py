"""Runtimes that crash when they are imported, as wheels built for another processor do."""

import os
from pathlib import Path

import pytest

_CRASH = "import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n"


def crash_on_import(monkeypatch: pytest.MonkeyPatch, folder: Path, runtime: str) -> None:
    """From now on every child process that imports ``runtime`` (its distribution's name) dies of SIGILL."""
    package = folder / f"crashing-{runtime}" / runtime.replace("-", "_")
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(_CRASH, encoding="ascii")
    paths = [str(package.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
