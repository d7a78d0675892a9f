"""The float model with its activations as outputs, so that calibration can see them.

Outputs are added to the bytes of the file: a new list is appended, and the offset of the old list is changed to it.
Nothing is parsed or packed, and only the requested tensors stay alive during a run
(``experimental_preserve_all_tensors`` would keep every activation, and disables XNNPACK in tflite-runtime). All tensors
of a tap are alive together for one row; if that is too much, the caller opens one tap per group of tensors.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_agent.backends import Feeds
from edge_agent.backends.tflite import schema
from edge_agent.backends.tflite.flatbuffer import File
from edge_agent.backends.tflite.graph import PreparedGraph
from edge_agent.backends.tflite.reading import read_model
from edge_agent.backends.tflite.session import TfliteSession, create_interpreter
from edge_agent.errors import StageError

_GRAPHS, _OUTPUTS = 2, 2
"""Slots of Model and SubGraph."""


class TfliteTap:
    """A prepared model, opened with tensors as outputs; implements :class:`edge_agent.backends.Tap`."""

    def __init__(self, prepared: Path, names: Sequence[str] | None = None, *, runtime: str = "") -> None:
        model = read_model(prepared)
        graph = PreparedGraph(model)
        every = list(dict.fromkeys(name for one in graph.quantizable() for name in graph.activations(one)))
        self.names: Sequence[str] = tuple(every) if names is None else tuple(names)
        self.same_range: Mapping[str, str] = {}  # converters fuse nearly every activation
        if unknown := set(self.names) - set(every):
            raise StageError("stage_crashed", f"no such activation in the prepared model: {min(unknown)!r}")
        index = {tensor.name: number for number, tensor in enumerate(model.main.tensors)}
        fed = {index[name] for name in model.input_names}
        self._fed = [name for name in self.names if index[name] in fed]
        self._computed = {name: index[name] for name in self.names if index[name] not in fed}
        added = [number for number in self._computed.values() if number not in model.main.outputs]
        content = with_outputs(prepared.read_bytes(), [*model.main.outputs, *added])
        self._interpreter = create_interpreter(runtime=runtime, model_content=content)
        self._session = TfliteSession(self._interpreter, model)

    def run(self, feeds: Feeds) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Each tensor's value for one row; errors as :meth:`.session.TfliteSession.run`."""
        for name in self._fed:
            yield name, feeds[name]
        if not self._computed:
            return
        self._session.call(feeds)
        for name, number in self._computed.items():
            yield name, self._interpreter.get_tensor(number)  # a copy, and the only one


def with_outputs(data: bytes, outputs: Sequence[int]) -> bytes:
    """A sound file's bytes with these tensors as the main graph's outputs."""
    root = File(data).root(schema.IDENTIFIER)
    place = next(root.tables(_GRAPHS)).place(_OUTPUTS)
    padding = -len(data) % 4
    offset = struct.pack("<I", len(data) + padding - place)
    added = struct.pack(f"<{padding}xI{len(outputs)}i", len(outputs), *outputs)
    whole = memoryview(data)
    return b"".join((whole[:place], offset, whole[place + len(offset) :], added))
