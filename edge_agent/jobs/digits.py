"""Numbers in messages and tables, with the digits that they are about. Pure."""

import math

_KIB, _MIB = 2**10, 2**20
_GATE_DIGITS = 4
_FEWEST = 3
_FEWEST_OF_LIMIT = 4
_MOST = 17
"""Digits that tell any two 64-bit floats apart."""


def apart(value: float, limit: float, fewest: int = _FEWEST) -> tuple[str, str]:
    """A value and what it is held against, in as few digits as show which of both is larger.

    Rounded to three digits, 1.0004 is 1, and "1; at most 1 is allowed" is a riddle.
    """
    for digits in range(fewest, _MOST + 1):
        texts = _text(value, digits), _text(limit, max(digits, _FEWEST_OF_LIMIT))
        shown = tuple(map(float, texts))
        if (shown[0] < shown[1], shown[0] > shown[1]) == (value < limit, value > limit):
            break
    return texts


def _text(number: float, digits: int) -> str:
    """A number in so many digits, and in no powers of ten where it is large."""
    return f"{number:.0f}" if 10**digits <= abs(number) < 10**_MOST else f"{number:.{digits}g}"


def percent_apart(share: float, limit: float) -> tuple[str, str]:
    """The same of shares, in percent."""
    one, other = apart(100.0 * share, 100.0 * limit)
    return f"{one} %", f"{other} %"


def gate_numbers(name: str, value: float | None, limit: float | None, unknown: str) -> tuple[str, str]:
    """A gate's value and limit in the unit that its name tells, so that which one is larger shows.

    ``unknown``: what stands for a number that is not known, or has no bound.
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
