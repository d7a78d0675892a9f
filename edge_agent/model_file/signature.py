"""Reads the inputs and outputs of a model file of any format."""

import mmap
import struct
from pathlib import Path

from edge_agent.model_file import onnx_file, tflite_file
from edge_agent.model_file.tensors import ModelTensors

_READERS = {".onnx": onnx_file.read, ".tflite": tflite_file.read}


def read_signature(path: Path) -> ModelTensors | None:
    """The inputs and outputs in the file; None if they cannot be read here."""
    read = _READERS.get(path.suffix.lower())
    if read is None:
        return None
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            found = read(data)
    except (OSError, ValueError, IndexError, KeyError, struct.error):
        return None
    return found if found.inputs and found.outputs and all(one.name for one in found.inputs) else None
