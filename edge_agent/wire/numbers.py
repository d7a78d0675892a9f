"""The number types of a manifest, with their limits."""

from typing import Annotated

import msgspec

Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]
_LARGEST = 1.7976931348623157e308
Finite = Annotated[float, msgspec.Meta(ge=-_LARGEST, le=_LARGEST)]
"""Excludes inf and nan: TOML has them, JSON does not. They would become null, and a gate would take its default."""
NonNegative = Annotated[float, msgspec.Meta(ge=0, le=_LARGEST)]
Threads = Annotated[int, msgspec.Meta(ge=1, le=64)]
Windows = Annotated[int, msgspec.Meta(ge=1, le=100_000)]
Samples = Annotated[int, msgspec.Meta(ge=1, le=10_000_000)]
Rate = Annotated[float, msgspec.Meta(gt=0, le=1e6)]
Side = Annotated[int, msgspec.Meta(ge=1, le=8192)]
