"""A result object that somebody else wrote, for a page: as much of it as makes sense, in bounded size. Pure.

A report is 64 kB at most, and its results may still be ten thousand empty candidates, a number of hundred digits or
brackets a thousand deep. What cannot be is left out, as if it had not been told.
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
"""Items of lists that hold lists themselves."""


def told_result(fields: Mapping[str, Any]) -> Result:
    """``fields``, as JSON has them, as a result object."""
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
    """``value`` without numbers that nobody can draw: beyond 64 bits, or not finite."""
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
