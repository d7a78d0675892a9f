"""litert-quantizer imported without the runtime that it would calibrate with."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

_THEIR_RUNTIME = ("ai_edge_litert.interpreter", "ai_edge_litert._pywrap_tfl_calibration")


class _Absent(ModuleType):
    """In the place of a module that is imported and never called: its names may stand in annotations."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return object


@contextmanager
def no_runtime() -> Iterator[None]:
    """Let litert-quantizer be imported without the runtime that it would calibrate with.

    None of the parts called here runs it, and on a processor that it was not built for it crashes when it is loaded.
    """
    absent = [name for name in _THEIR_RUNTIME if name not in sys.modules]
    sys.modules.update({name: _Absent(name) for name in absent})
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]  # whoever wants the true one may still have it
