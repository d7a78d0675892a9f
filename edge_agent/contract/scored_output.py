"""The scored output of a model: the one array per window that is judged.

Usually it is one unchanged output. The several outputs of a detector are joined side by side, ``[N, 6]``; before
suppression :mod:`edge_agent.contract.joined_head` joins them. For a model that reconstructs its input as a measure of
anomaly, it is the mean squared difference from that input.
"""

from collections.abc import Sequence

import numpy as np

from edge_agent.backends import Array, Feeds, Signature
from edge_agent.contract import Contract, first_output
from edge_agent.contract.joined_head import join
from edge_agent.errors import ContractError, RecipeError
from edge_agent.wire.manifest import Output

_CORNERS = 4


class ScoredOutput:
    """Extracts the scored output from one call of the model.

    Attributes:
        position: position of the judged output; of the boxes if there are several.
    """

    def __init__(self, info: Signature, asked: Contract, output: Output | None = None) -> None:
        """Find the outputs.

        Args:
            info: the model's signature.
            asked: the contract of its inputs and outputs.
            output: the output to score; None: the one that the gates apply to.

        Raises:
            RecipeError: ``recipe_unsupported`` if ``[output]`` names an output that the model lacks.
        """
        output = first_output(asked) if output is None else output
        names = [spec.name for spec in info.outputs]
        for name in output.names:
            if name not in names:
                raise RecipeError(
                    "recipe_unsupported", f"[output] names {name!r}; the model has the outputs {', '.join(names)}"
                )
        first = output.name or output.boxes
        self.position = names.index(first) if first else 0
        self._scores = names.index(output.scores) if output.scores else None
        self._classes = names.index(output.classes) if output.classes else None
        self._offset = names.index(output.head.offset) if output.head and output.head.offset else None
        self._head = output.kind == "detection_head"
        self._scored = output.kind == "anomaly"
        carried = {state.input for state in asked.state}
        self._inputs = [spec.name for spec in info.inputs if spec.name not in carried]

    @property
    def as_it_is(self) -> bool:
        """Whether the scored output is one unchanged output, not computed from several or from the input."""
        return self.positions == {self.position} and not self._scored

    @property
    def positions(self) -> set[int]:
        """The positions of all outputs that it is computed from."""
        return {self.position, *(one for one in (self._scores, self._classes, self._offset) if one is not None)}

    def __call__(self, feeds: Feeds, outputs: Sequence[Array]) -> Array:
        """Return the scored output of one window.

        Raises:
            ContractError: ``shape_mismatch``: the outputs do not match ``[output]``.
        """
        output = outputs[self.position]
        if self._scores is not None and self._head:
            return join(output, outputs[self._scores], None if self._offset is None else outputs[self._offset])
        if self._scores is not None:
            return _table(output, outputs[self._scores], None if self._classes is None else outputs[self._classes])
        if self._scored and output.size != 1:
            return self._reconstruction_error(feeds, output)
        return output

    def _reconstruction_error(self, feeds: Feeds, output: Array) -> Array:
        """Return the mean squared difference from the first input of the output's shape (ignoring axes of 1)."""
        got = np.squeeze(output)
        for name in self._inputs:
            wanted = np.squeeze(feeds[name])
            if wanted.shape == got.shape:
                difference = got.astype(np.float64) - wanted
                return np.array([np.mean(difference * difference)])
        raise ContractError(
            "shape_mismatch",
            f"an output of shape {output.shape} is neither one anomaly score nor shaped like an input; set another "
            "output kind, or name under [output]",
        )


def _table(boxes: Array, scores: Array, classes: Array | None) -> Array:
    count = scores.size
    corners = boxes.shape[-1:] == (_CORNERS,) and boxes.size == _CORNERS * count
    if not corners or (classes is not None and classes.size != count):
        shapes = [one.shape for one in (boxes, scores, classes) if one is not None]
        raise ContractError(
            "shape_mismatch",
            f"boxes, scores and classes of the shapes {', '.join(map(str, shapes))} are not [N, 4], [N] and [N]; "
            "correct boxes, scores and classes under [output]",
        )
    numbers = np.zeros(count) if classes is None else classes.reshape(-1)
    return np.column_stack([boxes.reshape(-1, _CORNERS), scores.reshape(-1), numbers]).astype(np.float64)
