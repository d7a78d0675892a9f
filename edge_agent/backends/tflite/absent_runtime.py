"""Imports litert-quantizer without the runtime that it uses for calibration."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

_THEIR_RUNTIME = ("ai_edge_litert.interpreter", "ai_edge_litert._pywrap_tfl_calibration")


class _Absent(ModuleType):
    """A stand-in for a module that is imported but never called; its names may appear in annotations."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return object


@contextmanager
def no_runtime() -> Iterator[None]:
    """Import litert-quantizer within this context without the runtime that it uses for calibration.

    The parts called here never run it, and it crashes at load on a processor that it was not built for.
    """
    absent = [name for name in _THEIR_RUNTIME if name not in sys.modules]
    sys.modules.update({name: _Absent(name) for name in absent})
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]  # a later import gets the real module
