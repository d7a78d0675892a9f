"""Numbers in messages, with the digits that the message is about."""

_FEWEST = 3
_FEWEST_OF_LIMIT = 4
_MOST = 17
"""Digits that tell any two 64-bit floats apart."""


def apart(value: float, limit: float) -> tuple[str, str]:
    """A value and what it is held against, in as few digits as show which of both is larger.

    Rounded to three digits, 1.0004 is 1, and "1; at most 1 is allowed" is a riddle.
    """
    for digits in range(_FEWEST, _MOST):
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
