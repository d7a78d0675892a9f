"""The float model with its activations as outputs, so that calibration can see them.

One thread and no arena: a run's memory is freed together with its arrays, so memory stays flat over many rows. All
tensors of a tap are alive together for one row; if that is too much, the caller opens one tap per group of tensors.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.backends import Feeds
from edge_agent.backends.onnx.graph import Graph
from edge_agent.backends.onnx.mapped_weights import referring
from edge_agent.backends.onnx.session import create_session, run_session
from edge_agent.backends.onnx.skeleton import read_skeleton
from edge_agent.errors import StageError


class OnnxTap:
    """A prepared model, opened with tensors as outputs; implements :class:`edge_agent.backends.Tap`."""

    def __init__(self, prepared: Path, names: Sequence[str] | None = None) -> None:
        model, _ = read_skeleton(prepared)
        graph = Graph(model)
        every = list(dict.fromkeys(name for node in graph.quantizable() for name in graph.activations(node)))
        self.names: Sequence[str] = tuple(every) if names is None else tuple(names)
        self.same_range: Mapping[str, str] = graph.same_ranges()
        if unknown := set(self.names) - set(every):
            raise StageError("stage_crashed", f"no such activation in the prepared model: {min(unknown)!r}")
        fed = {value.name for value in model.graph.input}
        self._fed = [name for name in self.names if name in fed]
        self._computed = [name for name in self.names if name not in fed]
        given = {value.name for value in model.graph.output}
        self._added = [name for name in self._computed if name not in given]
        self._prepared = prepared

    @cached_property
    def _session(self) -> Any:
        """Opened at the first use: a caller that needs only names does not load the model."""
        content = referring(self._prepared, self._added)
        return create_session(content, weights=self._prepared.parent, arena=False)

    def run(self, feeds: Feeds) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Each tensor's value for one row; errors as :meth:`.session.OnnxSession.run`."""
        for name in self._fed:
            yield name, feeds[name]
        if not self._computed:
            return
        values = run_session(self._session, self._computed, feeds)
        values.reverse()
        for name in self._computed:
            yield name, values.pop()  # released at once, so that the observer's copy is the only one
