"""The optimised form of a model: what its files are called, and which device it is for. Standard library only.

A runtime rewrites a model's graph each time it loads it, for its own kernels and for this processor. The form is that
rewritten graph, saved once, beside the model file that runs anywhere. Another version of the runtime or another
processor may neither understand it nor be fast with it, so a form goes with the key of the device that made it.

Only the device's own worker makes a form. A form that somebody else supplies is never opened.
"""

import hashlib
import os
from pathlib import Path

from edge_agent.device.kernel_files import text

OPTIMIZED_FILE = "optimized.onnx"
"""A model file of this name is a form: a backend opens it as it is, without optimising it again."""
WEIGHTS_FILE = "optimized.onnx.data"
"""Its large weights, which the runtime maps instead of parsing; not there if the form has none."""
FORM_FILES = (OPTIMIZED_FILE, WEIGHTS_FILE)
LEAST_MODEL_BYTES = 1 << 20
"""Of a smaller float file no form is made: what the runtime takes by itself decides there, and not the model."""
_SPARE_BYTES = 64 << 20
_FEATURES = ("flags", "Features")
"""What x86 and ARM call the line of ``/proc/cpuinfo`` that lists the instructions of a processor."""


def form_key(runtime: str, version: str, root: Path = Path("/")) -> str:
    """What a form of ``runtime`` in ``version`` is good for on this machine: equal keys, interchangeable forms."""
    return f"{runtime} {version} {os.uname().machine} {_instructions(root)}"


def processor_known(root: Path = Path("/")) -> bool:
    """Whether this process may read what the processor is: else no form's key is its own."""
    return bool(_first_features(root))


def most_form_bytes(model_bytes: int) -> int:
    """The largest size of a form: a constant that the runtime unfolds may take a hundred times its model's bytes."""
    return 4 * model_bytes + _SPARE_BYTES


def form_folder(key: str) -> str:
    """The name of a release's folder that holds the form of ``key``."""
    return f"served-{hashlib.sha256(key.encode()).hexdigest()[:8]}"


def _instructions(root: Path) -> str:
    """16 hexadecimal digits that tell the instruction set of the first processor here apart from others'.

    A power mode may take the other processors offline, and a device keeps its key in each of them.
    """
    return hashlib.sha256(" ".join(sorted(_first_features(root))).encode()).hexdigest()[:16]


def _first_features(root: Path) -> list[str]:
    lines = (line.partition(":") for line in text(root / "proc/cpuinfo").splitlines())
    return next((value.split() for name, _, value in lines if name.strip() in _FEATURES), [])
