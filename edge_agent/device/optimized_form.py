"""The optimised form of a model: the names of its files, and the key of the device that it fits. Standard library only.

A runtime rewrites a model's graph at each load, for its own kernels and for this processor. The form is that rewritten
graph, saved once beside the portable model file. Another version of the runtime or another processor may fail on it or
be slow with it, so a form carries the key of the device that made it.

Only the device's own worker makes a form. A form from anybody else is never opened.
"""

import hashlib
import os
from pathlib import Path

from edge_agent.device.kernel_files import text

OPTIMIZED_FILE = "optimized.onnx"
"""A model file of this name is a form: a backend opens it as it is, without optimising it again."""
WEIGHTS_FILE = "optimized.onnx.data"
"""The form's large weights, which the runtime maps instead of parsing; missing if there are none."""
FORM_FILES = (OPTIMIZED_FILE, WEIGHTS_FILE)
LEAST_MODEL_BYTES = 1 << 20
"""Smaller float files get no form: the runtime's own memory dominates there."""
_SPARE_BYTES = 64 << 20
_FEATURES = ("flags", "Features")
"""Names that x86 and ARM give the line of ``/proc/cpuinfo`` with the instruction set."""


def form_key(runtime: str, version: str, root: Path = Path("/")) -> str:
    """The key of forms for this runtime, version and machine. Forms with equal keys are interchangeable."""
    return f"{runtime} {version} {os.uname().machine} {_instructions(root)}"


def processor_known(root: Path = Path("/")) -> bool:
    """Whether this process can read the instruction set. If not, no form's key matches."""
    return bool(_first_features(root))


def most_form_bytes(model_bytes: int) -> int:
    """The largest size of a form. A constant that the runtime unfolds may be a hundred times as large as the model."""
    return 4 * model_bytes + _SPARE_BYTES


def form_folder(key: str) -> str:
    """The name of a release's folder that holds the form of ``key``."""
    return f"served-{hashlib.sha256(key.encode()).hexdigest()[:8]}"


def _instructions(root: Path) -> str:
    """16 hexadecimal digits that identify the instruction set of the first processor.

    A power mode may take the other processors offline, and a device keeps its key in each of them.
    """
    return hashlib.sha256(" ".join(sorted(_first_features(root))).encode()).hexdigest()[:16]


def _first_features(root: Path) -> list[str]:
    lines = (line.partition(":") for line in text(root / "proc/cpuinfo").splitlines())
    return next((value.split() for name, _, value in lines if name.strip() in _FEATURES), [])
