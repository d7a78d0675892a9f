"""Numbers for messages and tables, with as many digits as a comparison needs. Pure."""

import math

_KIB, _MIB = 2**10, 2**20
_GATE_DIGITS = 4
_FEWEST = 3
_FEWEST_OF_LIMIT = 4
_MOST = 17
"""Digits that distinguish any two 64-bit floats."""


def apart(value: float, limit: float, fewest: int = _FEWEST) -> tuple[str, str]:
    """A value and its limit, with the fewest digits that show which is larger.

    Rounded to three digits, 1.0004 is 1, and "1; at most 1 is allowed" would be a puzzling message.
    """
    for digits in range(fewest, _MOST + 1):
        texts = _text(value, digits), _text(limit, max(digits, _FEWEST_OF_LIMIT))
        shown = tuple(map(float, texts))
        if (shown[0] < shown[1], shown[0] > shown[1]) == (value < limit, value > limit):
            break
    return texts


def _text(number: float, digits: int) -> str:
    """A number with ``digits`` significant digits; large numbers without an exponent."""
    return f"{number:.0f}" if 10**digits <= abs(number) < 10**_MOST else f"{number:.{digits}g}"


def percent_apart(share: float, limit: float) -> tuple[str, str]:
    """The same for shares, in percent."""
    one, other = apart(100.0 * share, 100.0 * limit)
    return f"{one} %", f"{other} %"


def gate_numbers(name: str, value: float | None, limit: float | None, unknown: str) -> tuple[str, str]:
    """A gate's value and limit in the unit of its name, with digits that show which is larger.

    ``unknown`` replaces a number that is not known or has no bound.
    """
    unit, size = _unit(name, value if limit is None else limit)
    one, other = (None if number is None or not math.isfinite(number) else number / size for number in (value, limit))
    if one is None or other is None:
        alone = [unknown if number is None else _text(number, _GATE_DIGITS) + unit for number in (one, other)]
        return alone[0], alone[1]
    shown, held = apart(one, other, _GATE_DIGITS)
    return shown + unit, held + unit


def _unit(name: str, size: float | None) -> tuple[str, float]:
    if name.endswith("_db"):
        return " dB", 1.0
    if not name.endswith("_bytes") or size is None or size < _KIB:
        return "", 1.0
    return (" MiB", _MIB) if size >= _MIB else (" KiB", _KIB)
