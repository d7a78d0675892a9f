"""What of a model's outputs is judged: one array a window.

Mostly it is an output as it is. The outputs of a detector that has several are put side by side, ``[N, 6]``, and before
suppression as :mod:`edge_agent.contract.joined_head` says; of a model whose anomaly score is how badly it gives its
input back, it is the mean squared difference from that input.
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
    """Takes what is judged out of one run of the model.

    Attributes:
        position: of the judged output; of the boxes where there are several.
    """

    def __init__(self, info: Signature, asked: Contract, output: Output | None = None) -> None:
        """Find the outputs.

        Args:
            info: of the model.
            asked: what is said of its ends.
            output: the one to take; None: the one that the gates are about.

        Raises:
            RecipeError: ``recipe_unsupported`` if ``[output]`` names an output that the model lacks.
        """
        output = first_output(asked) if output is None else output
        names = [spec.name for spec in info.outputs]
        for name in output.names:
            if name not in names:
                raise RecipeError(
                    "recipe_unsupported", f"[output] names {name!r}; the model's outputs are {', '.join(names)}"
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
        """Whether what is judged is one output, not made of several or of the input."""
        return self.positions == {self.position} and not self._scored

    @property
    def positions(self) -> set[int]:
        """Of all outputs that what is judged is made of."""
        return {self.position, *(one for one in (self._scores, self._classes, self._offset) if one is not None)}

    def __call__(self, feeds: Feeds, outputs: Sequence[Array]) -> Array:
        """What is judged of one window.

        Raises:
            ContractError: ``shape_mismatch``: the outputs are not what ``[output]`` says.
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
        """The mean squared difference from the first input of the output's shape (axes of one apart)."""
        got = np.squeeze(output)
        for name in self._inputs:
            wanted = np.squeeze(feeds[name])
            if wanted.shape == got.shape:
                difference = got.astype(np.float64) - wanted
                return np.array([np.mean(difference * difference)])
        raise ContractError(
            "shape_mismatch",
            f"an output of shape {output.shape} is neither one anomaly score nor like an input; set another output "
            "kind, or name under [output]",
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
