"""Runtimes that crash when they are loaded, as wheels built for another processor do."""

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

_CRASH = """
import ctypes, mmap, platform
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(b"\\x0f\\x0b" if platform.machine() == "x86_64" else bytes(4))  # ud2; udf
ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
"""


def crash_on_import(monkeypatch: pytest.MonkeyPatch, folder: Path, runtime: str) -> None:
    """From now on every child process that loads ``runtime`` (its distribution's name) dies of SIGILL.

    As in the wheels: what is Python in the packages of the TensorFlow Lite runtimes can be imported all the same.
    """
    name = runtime.replace("-", "_")
    package = folder / f"crashing-{runtime}" / name
    package.mkdir(parents=True)
    if name == "onnxruntime":
        (package / "__init__.py").write_text(_CRASH, encoding="ascii")
    else:
        found = find_spec(name)
        assert found is not None
        assert found.submodule_search_locations is not None
        true = list(found.submodule_search_locations)
        (package / "__init__.py").write_text(f"__version__ = '0'\n__path__ += {true!r}\n", encoding="utf-8")
        (package / "interpreter.py").write_text(_CRASH, encoding="ascii")
    paths = [str(package.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
