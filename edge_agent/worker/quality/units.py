"""Factors between units that are often confused. Pure."""

import math
from dataclasses import dataclass

_NEAR = 1.5
"""New data vary more or less than the training data, so no factor matches exactly."""


@dataclass(frozen=True, slots=True)
class Factor:
    """The factor by which numbers are too large, and the unit error that it suggests."""

    value: float
    words: str

    def __str__(self) -> str:
        return f"{self.value:.6g}: {self.words}"


_LARGER = (
    Factor(3.6, "km/h for m/s"),
    Factor(9.81, "m/s2 for g"),
    Factor(57.3, "degrees for radians"),
    Factor(100.0, "hundredths"),
    Factor(255.0, "0 to 255 for 0 to 1"),
    Factor(1000.0, "milli"),
    Factor(16384.0, "raw 16-bit counts"),
    Factor(32768.0, "raw 16-bit counts"),
    Factor(1e6, "micro"),
)
_SMALLER = (
    Factor(1 / 3.6, "m/s for km/h"),
    Factor(1 / 9.81, "g for m/s2"),
    Factor(1 / 57.3, "radians for degrees"),
    Factor(0.01, "a hundredth"),
    Factor(1 / 255.0, "0 to 1 for 0 to 255"),
    Factor(0.001, "units for milli"),
    Factor(1 / 32768.0, "fractions for raw 16-bit counts"),
    Factor(1e-6, "units for micro"),
)


def known_factor(factor: float) -> Factor | None:
    """The known factor between two units that is nearest to ``factor``; None if none is near, or ``factor`` <= 0."""
    if factor <= 0:
        return None
    apart = {abs(math.log(one.value / factor)): one for one in (*_LARGER, *_SMALLER)}
    nearest = min(apart)
    return apart[nearest] if nearest <= math.log(_NEAR) else None
