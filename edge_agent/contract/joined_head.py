"""Joins the separate outputs of a detection head into one array per window, since they are judged together.

Boxes ``[N, 4]`` and scores ``[N, C]``, or ``[N]`` for a single class, become ``[N, 4 + C]``; scores may also be
``[C, N]``. Maps of sizes ``[2, H, W]``, scores ``[C, H, W]`` and offsets ``[2, H, W]`` become ``[C + 4, H, W]``, with
the scores first.
"""

from collections.abc import Sequence

import numpy as np

from edge_agent.backends import Array
from edge_agent.errors import ContractError

_CORNERS = 4
_TABLE, _MAPS = 2, 3
_PLANES = 2
"""Width and height, or x and y."""


def join(boxes: Array, scores: Array, offset: Array | None = None) -> Array:
    """Return boxes and scores in one array; raise ``ContractError`` (shape_mismatch) if they are incompatible."""
    given = [one for one in (boxes, scores, offset) if one is not None]
    first = _without_batch(boxes, _TABLE)
    if first.ndim == _TABLE and first.shape[1] == _CORNERS and len(given) == _TABLE:
        rows = _score_rows(scores, len(first))
        if rows is not None:
            return np.concatenate([first, rows], axis=1, dtype=np.float32)
    if (maps := _maps(given)) is not None:
        sizes, heat, *rest = maps
        return np.concatenate([heat, sizes, *rest], axis=0, dtype=np.float32)
    shapes = ", ".join(str(one.shape) for one in given)
    raise ContractError(
        "shape_mismatch",
        f"boxes and scores of the shapes {shapes} are neither [N, 4] and [N, C] nor the maps [2, H, W] and [C, H, W]; "
        "correct boxes, scores and head.offset under [output]",
    )


def _score_rows(scores: Array, count: int) -> Array | None:
    """Return the scores with a row for each of ``count`` boxes; None if their shape does not match."""
    table = _without_batch(scores, _TABLE)
    if table.shape in ((count,), (1, count)):
        table = table.reshape(count, 1)
    if table.ndim != _TABLE or not table.size or count not in table.shape:
        return None
    return table if len(table) == count else table.T


def _without_batch(values: Array, axes: int) -> Array:
    """Return ``values`` without a leading axis of 1 if they have more than ``axes`` axes."""
    return values[0] if values.ndim > axes and len(values) == 1 else values


def _maps(given: Sequence[Array]) -> list[Array] | None:
    """Return the arrays as maps of one height and width; None if they are no such maps."""
    maps = [_without_batch(one, _MAPS) for one in given]
    if any(one.ndim != _MAPS or one.shape[1:] != maps[0].shape[1:] for one in maps):
        return None
    return maps if all(len(one) == _PLANES for one in (maps[0], *maps[2:])) else None
