"""The separate outputs of a detection head, side by side: one array a window, as boxes and scores are judged together.

Boxes ``[N, 4]`` and scores ``[N, C]`` become ``[N, 4 + C]``. Of maps, the sizes ``[2, H, W]``, the scores ``[C, H, W]``
and the offsets ``[2, H, W]`` become ``[C + 4, H, W]``, the scores first.
"""

from collections.abc import Sequence

import numpy as np

from edge_agent.backends import Array
from edge_agent.errors import ContractError

_CORNERS = 4
_TABLE, _MAPS = 2, 3
_PLANES = 2
"""Width and height, x and y."""


def join(boxes: Array, scores: Array, offset: Array | None = None) -> Array:
    """Boxes and scores in one; raises ``ContractError`` (shape_mismatch) if they do not fit together."""
    given = [one for one in (boxes, scores, offset) if one is not None]
    first = boxes[0] if boxes.ndim > _TABLE and len(boxes) == 1 else boxes
    if first.ndim == _TABLE and first.shape[1] == _CORNERS and len(given) == _TABLE:
        count = len(first)
        if count and scores.size and not scores.size % count:
            return np.concatenate([first, scores.reshape(count, -1)], axis=1, dtype=np.float32)
    if (maps := _maps(given)) is not None:
        sizes, heat, *rest = maps
        return np.concatenate([heat, sizes, *rest], axis=0, dtype=np.float32)
    shapes = ", ".join(str(one.shape) for one in given)
    raise ContractError(
        "shape_mismatch",
        f"boxes and scores of the shapes {shapes} are neither [N, 4] and [N, C] nor the maps [2, H, W] and [C, H, W]; "
        "correct boxes, scores and head.offset under [output]",
    )


def _maps(given: Sequence[Array]) -> list[Array] | None:
    """Maps of one height and width; None if they are none."""
    maps = [one[0] if one.ndim > _MAPS and len(one) == 1 else one for one in given]
    if any(one.ndim != _MAPS or one.shape[1:] != maps[0].shape[1:] for one in maps):
        return None
    return maps if all(len(one) == _PLANES for one in (maps[0], *maps[2:])) else None
