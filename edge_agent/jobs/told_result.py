"""A foreign result object, read for a page: its valid parts, in bounded size. Pure.

A report is 64 kB at most, but its results may still hold ten thousand empty candidates, a number of a hundred digits or
brackets nested a thousand deep. Impossible values are left out, as if they had not been reported.
"""

from collections.abc import Mapping
from typing import Any

from edge_agent.foreign.decoding import cut
from edge_agent.jobs.lenient import lenient
from edge_agent.jobs.result import MAX_CANDIDATES, MAX_LAYERS, Result

_MOST_TEXT = 1000
_MOST_ITEMS = 64
_GREATEST = 2.0**63
_OF_A_RESULT = {"candidates": MAX_CANDIDATES, "layers": MAX_LAYERS}
_OF_A_PAGE = _OF_A_RESULT | {"outputs": 32, "groups": 16}
"""Most items of nested lists."""


def told_result(fields: Mapping[str, Any]) -> Result:
    """Convert JSON ``fields`` to a result object."""
    try:
        return lenient(_sound(cut(bounded(fields), most_text=_MOST_TEXT, most_items=_MOST_ITEMS)), Result)
    except RecursionError:
        return Result()


def bounded(fields: Mapping[str, Any]) -> dict[str, Any]:
    """``fields`` with no more candidates and layers than a result may have."""
    return {key: _first(value, _OF_A_RESULT.get(key)) for key, value in fields.items()}


def _first(value: Any, most: int | None) -> Any:
    return value[:most] if isinstance(value, list) else value


def _sound(value: Any) -> Any:
    """``value`` without numbers that cannot be drawn: beyond 64 bits, or not finite."""
    match value:
        case bool():
            return value
        case int() | float():
            return value if -_GREATEST <= value < _GREATEST else None
        case list():
            return [_sound(one) for one in value]
        case dict():
            return {key: _sound(_first(one, _OF_A_PAGE.get(key))) for key, one in value.items()}
    return value
