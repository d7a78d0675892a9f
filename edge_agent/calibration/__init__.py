"""From activations to ranges: a streaming histogram per tensor, and one file per method that chooses a range.

Pure: arrays in, ranges out; no model, no file. A missing range is an error, never a placeholder.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from edge_agent.backends import Range
from edge_agent.calibration import entropy, minmax, mse, percentile
from edge_agent.calibration.histogram import Histogram
from edge_agent.errors import RecipeError, StageError

METHODS: Mapping[str, Callable[..., Range]] = MappingProxyType(
    {
        "minmax": minmax.find_range,
        "percentile": percentile.find_range,
        "mse": mse.find_range,
        "entropy": entropy.find_range,
    }
)


def find_range(method: str, histogram: Histogram, *, symmetric: bool, levels: int = 256) -> Range:
    """Return the range that ``method`` chooses; it is finite, contains zero, and never has zero width.

    Args:
        method: a key of :data:`METHODS`.
        histogram: the observed values of the tensor.
        symmetric: whether the range shall be [-a, a].
        levels: number of integers in the grid: 256 for int8.

    Raises:
        RecipeError: ``recipe_unsupported``, no such method.
        StageError: the histogram is empty.
    """
    if method not in METHODS:
        raise RecipeError("recipe_unsupported", f"unknown calibration {method!r}; choose one of {', '.join(METHODS)}")
    if not histogram.total:
        raise StageError("stage_crashed", "a tensor has no range: calibration saw none of its values")
    return METHODS[method](histogram, symmetric=symmetric, levels=levels)
