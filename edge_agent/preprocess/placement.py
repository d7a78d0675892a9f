"""Maps pixels of a frame to the picture that the model gets, so that boxes can be mapped back. Pure.

Positions are in pixels from the upper left corner. The mapping is a factor and a shift along each axis, since no step
rotates a picture.
"""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from edge_agent.wire.manifest import InputContract
from edge_agent.wire.steps import images, read_steps
from edge_agent.wire.steps.basic import Reshape
from edge_agent.wire.steps.step import Step

Floats = NDArray[np.float64]


class Placement(NamedTuple):
    """``picture = frame * factor + shift``, each for x and y."""

    frame: tuple[int, int]
    """Width and height."""
    picture: tuple[int, int]
    """Width and height of the model's picture, in pixels."""
    factor: tuple[float, float]
    shift: tuple[float, float]

    def to_frame(self, corners: Floats, *, fractions: bool) -> Floats:
        """Map corners ``[N, 4]`` of the picture, x1 y1 x2 y2, to pixels of the frame, clipped to it.

        ``fractions``: the corners are fractions of the picture's sides.
        """
        x_and_y = corners.reshape(-1, 2, 2) * (self.picture if fractions else 1.0)
        back = (x_and_y - self.shift) / self.factor
        return np.asarray(back.clip(0.0, self.frame).reshape(-1, 4))

    def after(self, step: Step) -> Self:
        """Return the placement after one more step."""
        width, height = self.picture
        if isinstance(step, images.Letterbox):
            placed = step.place(height, width)
            factor, shift = (placed.width / width, placed.height / height), (placed.left, placed.top)
            size = step.size[1], step.size[0]
        elif isinstance(step, images.CenterCrop):
            size = step.width, step.height
            factor, shift = (1.0, 1.0), (-round((width - size[0]) / 2), -round((height - size[1]) / 2))
        elif isinstance(step, images.Resize):
            high, wide = step.shape((height, width))
            size = wide, high
            factor, shift = (size[0] / width, size[1] / height), (0, 0)
        else:
            return self
        return self._replace(
            picture=size,
            factor=(self.factor[0] * factor[0], self.factor[1] * factor[1]),
            shift=(self.shift[0] * factor[0] + shift[0], self.shift[1] * factor[1] + shift[1]),
        )


def placement(contract: InputContract) -> Placement | None:
    """Return the placement of a frame by the contract's steps; None for windows that are no frames, or are reshaped."""
    if contract.frame is None:
        return None
    height, width = contract.frame
    placed = Placement((width, height), (width, height), (1.0, 1.0), (0.0, 0.0))
    for _, step in read_steps(contract):
        if isinstance(step, Reshape):
            return None
        placed = placed.after(step)
    return placed
