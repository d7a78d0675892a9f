"""Numbers as people read them, with their unit. An unknown one is a dash."""

import math
from collections.abc import Callable
from typing import Any

UNKNOWN = "\N{EN DASH}"
_KIB, _MIB, _GIB = 2**10, 2**20, 2**30


def known(form: Callable[[float], str], value: Any) -> str:
    """``value`` in ``form``, or a dash if it is no number."""
    return form(value) if isinstance(value, int | float) and not isinstance(value, bool) else UNKNOWN


def size(value: float) -> str:
    """Bytes."""
    for unit, name in ((_GIB, "GiB"), (_MIB, "MiB"), (_KIB, "KiB")):
        if value >= unit:
            return f"{value / unit:,.1f} {name}"
    return f"{value:,.0f} B"


def milliseconds(value: float) -> str:
    """Milliseconds with three significant digits; 0 is exact, as a cost within the noise is."""
    if not value:
        return "0 ms"
    return f"{value:#.3g} ms" if value < 1000 else f"{value:,.0f} ms"  # noqa: PLR2004  # from here on digits are whole


def seconds(value: float) -> str:
    """Seconds."""
    return f"{value:.1f} s"


def share(value: float) -> str:
    """A share of one as percent."""
    return f"{value:.1%}".replace("%", " %")


def confidence(value: float | None) -> str:
    """The confidence of a bound; 95 % for results of version 0.1, which do not have it."""
    return f"{100 * (value or 0.95):g} %"


def decibel(value: float) -> str:
    """Decibels; an error without a bound (int8 gives NaN) has no number."""
    return "-" if value == -math.inf else f"{value:.1f} dB"


def ratio(value: float) -> str:
    """A ratio to float."""
    return f"{value:.3f}"


def signed(value: float) -> str:
    """A number below or above zero."""
    return f"{value:+.3f}"


def plain(value: float) -> str:
    """Four significant digits."""
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) >= 10_000 else f"{value:.4g}"  # noqa: PLR2004
